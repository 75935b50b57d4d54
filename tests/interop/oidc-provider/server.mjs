// A certified authorization server (oidc-provider) and a small API that it protects, both on loopback.
//
// One line of JSON on stdout says where they are and which clients they know; then it runs until stdin ends
// (so that nothing outlives the test that started it) or SIGTERM. Nothing else is ever written to stdout.

import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

// oidc-provider prints hints with console.info, which is stdout.
console.log = console.info = console.error;
// oidc-provider is written for Node 22 and says so; this is all that it misses here in early Node 20 (and in 18, which
// is what some distributions still install).
globalThis.crypto ??= webcrypto;
URL.parse ??= (url, base) => { try { return new URL(url, base); } catch { return null; } };
const { default: Provider, errors } = await import('oidc-provider');

// Seconds, for clients whose id ends in `-short`. The server counts in whole ones: such a token lives 4 to 5 seconds.
const SHORT = 5;
const LONG = 600;

// As odd as the server lets them be: it refuses whatever is not printable ASCII (RFC 6749, appendix A: VSCHAR).
const ODD_SECRET = 's:e c/r+e%t&=~"\'\\?';
const scope = 'api api:read'; // `api:write` exists too, but no client may have it: invalid_scope
const clients = {
  basic: { id: 'm2m', secret: 'secret-basic', auth: 'basic', scope },
  post: { id: 'm2m-post', secret: 'secret-post', auth: 'post', scope },
  odd_basic: { id: 'odd id:1/+%', secret: ODD_SECRET, auth: 'basic', scope },
  odd_post: { id: 'odd post:2/+%&=', secret: ODD_SECRET, auth: 'post', scope },
  short: { id: 'm2m-short', secret: 'secret-short', auth: 'basic', scope },
  refresh: { id: 'refresher', secret: 'secret-refresh', auth: 'basic', scope: `${scope} offline_access` },
  refresh_short: { id: 'refresher-short', secret: 'secret-refresh', auth: 'basic', scope: `${scope} offline_access` },
  // What the API itself is, when it asks about a token.
  api: { id: 'api-server', secret: 'secret-api', auth: 'basic', scope: '' },
};

// RFC 8707. Without a resource tokens are opaque. The server takes one resource a request; two are invalid_target.
const resources = { jwt: 'https://jwt.api.test/', opaque: 'https://opaque.api.test/v1' };

// Listening comes first, because the issuer holds the port.
async function listen(handler) {
  const server = createServer((request, response) => handler(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

const stats = { token_requests: 0, token_errors: 0, issued: {}, api_ok: 0, api_rejected: 0 };

let provide;
const issuer = await listen((request, response) => {
  if (request.method === 'POST' && request.url === '/token') stats.token_requests += 1;
  return provide(request, response);
});

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ttl = (_ctx, _token, client) => (client.clientId.endsWith('-short') ? SHORT : LONG);

const provider = new Provider(issuer, {
  clients: Object.values(clients).map((client) => ({
    client_id: client.id,
    client_secret: client.secret,
    token_endpoint_auth_method: `client_secret_${client.auth}`,
    scope: client.scope || undefined,
    ...(client.id.startsWith('refresher')
      // Its first refresh token comes from POST /-/refresh-token below: no browser takes part in our tests.
      ? { grant_types: ['authorization_code', 'refresh_token'], redirect_uris: ['https://client.test/callback'] }
      : { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }),
  })),
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  scopes: ['api', 'api:read', 'api:write', 'offline_access'],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'es256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  rotateRefreshToken: true,
  ttl: { ClientCredentials: ttl, AccessToken: ttl, RefreshToken: 3600, Grant: 3600, IdToken: LONG },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true }, // the API asks about everyone's tokens
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: async (_ctx, resource) => {
        const name = Object.keys(resources).find((key) => resources[key] === resource);
        if (!name) throw new errors.InvalidTarget();
        return {
          scope: 'api api:read',
          audience: resource,
          accessTokenFormat: name,
          ...(name === 'jwt' && { jwt: { sign: { alg: 'ES256' } } }),
        };
      },
    },
  },
});
provide = provider.callback();
provider.on('grant.success', (ctx) => {
  const { clientId } = ctx.oidc.client;
  stats.issued[clientId] = (stats.issued[clientId] ?? 0) + 1;
});
provider.on('grant.error', () => { stats.token_errors += 1; });
provider.on('server_error', (_ctx, error) => console.error(error));

// What the token stands for, or undefined when it is not valid (any more).
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
async function inspect(token) {
  if (token.split('.').length === 3) {
    // The server neither introspects nor revokes JWTs (unsupported_token_type): they are checked here.
    const options = { issuer, audience: resources.jwt, typ: 'at+jwt' };
    return jwtVerify(token, keys, options).then(({ payload }) => payload, () => undefined);
  }
  const answer = await fetch(`${issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${clients.api.id}:${clients.api.secret}`)}` },
    body: new URLSearchParams({ token }),
  });
  if (answer.status !== 200) throw new Error(`introspection answered ${answer.status}`);
  const claims = await answer.json();
  return claims.active ? claims : undefined;
}

// A first refresh token, as a sign-in would leave it behind. Not OAuth, hence a path of its own.
async function mintRefreshToken(clientId) {
  const client = await provider.Client.find(clientId);
  const granted = 'api api:read offline_access';
  const grant = new provider.Grant({ accountId: 'alice', clientId });
  grant.addOIDCScope(granted);
  const token = new provider.RefreshToken({
    accountId: 'alice', client, grantId: await grant.save(), scope: granted, gty: 'authorization_code',
  });
  return token.save();
}

async function serve(request, response) {
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;

  const { pathname: path, searchParams } = new URL(request.url, issuer);
  if (path === '/-/stats') return answer(200, stats);
  if (path === '/-/refresh-token' && request.method === 'POST') {
    return answer(200, { refresh_token: await mintRefreshToken(searchParams.get('client_id') ?? clients.refresh.id) });
  }

  const challenge = (status, parameters) => {
    stats.api_rejected += 1;
    answer(status, { error: `rejected with ${status}` }, { 'www-authenticate': `Bearer realm="api"${parameters}` });
  };
  const [, token] = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (!token) return challenge(401, ''); // RFC 6750, 3.1: no error code for a request without credentials
  const claims = await inspect(token);
  if (!claims) return challenge(401, ', error="invalid_token", error_description="expired, revoked or unknown"');
  if (path.startsWith('/read') && !claims.scope?.split(' ').includes('api:read')) {
    return challenge(403, ', error="insufficient_scope", scope="api:read"');
  }
  stats.api_ok += 1;
  return answer(200, { path, method: request.method, client_id: claims.client_id, scope: claims.scope ?? '', body });
}
const api = await listen((request, response) => serve(request, response).catch((error) => {
  console.error(error);
  if (!response.headersSent) response.writeHead(502);
  response.end();
}));

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));

const { dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url)));
process.stdout.write(`${JSON.stringify({
  server: 'oidc-provider',
  version: dependencies['oidc-provider'],
  issuer,
  token_endpoint: `${issuer}/token`,
  introspection_endpoint: `${issuer}/token/introspection`,
  revocation_endpoint: `${issuer}/token/revocation`,
  api,
  admin: `${api}/-`,
  clients,
  resources,
  short_seconds: SHORT,
  long_seconds: LONG,
})}\n`);
