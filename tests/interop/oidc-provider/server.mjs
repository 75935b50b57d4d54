// A certified authorization server (oidc-provider) and a small API that it protects, both on loopback; and the same
// again in three other realms, which ask more of a client.
//
// One line of JSON on stdout says where they are and which clients they know; then it runs until stdin ends
// (so that nothing outlives the test that started it) or SIGTERM. Nothing else is ever written to stdout.

import './runtime.mjs';
import { readFileSync } from 'node:fs';

// Loaded after that, not beside it.
const { startRealm } = await import('./realm.mjs');
const { lifetimes, told } = await import('./clients.mjs');
const { resources } = await import('./authorization_server.mjs');

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));

const { dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url)));
process.stdout.write(`${JSON.stringify({
  server: 'oidc-provider',
  version: dependencies['oidc-provider'],
  ...await startRealm(),
  realms: {
    nonce: await startRealm({ nonces: 'shared' }),
    single_use: await startRealm({ nonces: 'single_use' }),
    tls: await startRealm({ tls: true }),
  },
  ...told,
  resources,
  short_seconds: lifetimes.short,
  long_seconds: lifetimes.long,
})}\n`);
