// What must be so before oidc-provider is loaded; so the first import of server.mjs.

import crypto from 'node:crypto';
import * as module from 'node:module';

// oidc-provider prints hints with console.info, and stdout belongs to the one line.
console.log = console.info = console.error;

// oidc-provider is written for Node 22 and says so; this is all that it misses here in early Node 20 (and in 18, which
// is what some distributions still install).
globalThis.crypto ??= crypto.webcrypto;
URL.parse ??= (url, base) => { try { return new URL(url, base); } catch { return null; } };
if (!crypto.hash) {
  crypto.hash = (algorithm, data, encoding = 'hex') =>
    crypto.createHash(algorithm).update(data).digest(encoding === 'buffer' ? undefined : encoding);
  // A namespace import of a built-in module cannot gain a name; its default export, which was just extended, can.
  const hooks = `export async function load(url, context, next) {
    const loaded = await next(url, context);
    if (!url.includes('/oidc-provider/lib/')) return loaded;
    const source = String(loaded.source).replace("* as crypto from 'node:crypto'", "crypto from 'node:crypto'");
    return { ...loaded, source };
  }`;
  module.register(`data:text/javascript,${encodeURIComponent(hooks)}`);
}
