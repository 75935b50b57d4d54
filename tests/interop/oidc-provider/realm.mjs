// An authorization server, the API that it protects, and an address for tests.

import { admin } from './admin.mjs';
import { protectedApi, inspector } from './api.mjs';
import { authorizationServer, endpoints } from './authorization_server.mjs';
import { SharedNonce, SingleUseNonces } from './dpop.mjs';
import { addGrants } from './grants.mjs';
import { withPages } from './interactions.mjs';
import { listen } from './listen.mjs';
import { authority, certificate } from './secrets.mjs';

const NONCES = { shared: SharedNonce, single_use: SingleUseNonces };

const newStats = () => ({
  token_requests: 0, token_errors: 0, token_nonce_challenges: 0, slow_downs: 0, issued: {},
  api_ok: 0, api_rejected: 0, api_nonce_challenges: 0,
});

function count(provider, servers, stats) {
  for (const server of servers) {
    server.on('request', ({ method, url }) => {
      if (method === 'POST' && url === '/token') stats.token_requests += 1;
    });
  }
  provider.on('grant.success', (ctx) => {
    const { clientId } = ctx.oidc.client;
    stats.issued[clientId] = (stats.issued[clientId] ?? 0) + 1;
  });
  provider.on('grant.error', (_ctx, { error }) => {
    stats.token_errors += 1;
    if (error === 'use_dpop_nonce') stats.token_nonce_challenges += 1;
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
}

// `nonces` as in authorization_server.mjs; with `tls` all of it is https. Returns what tests are told.
export async function startRealm({ nonces, tls = false } = {}) {
  const { key, certificate: cert } = tls
    ? certificate('localhost', { alternatives: ['localhost', '127.0.0.1'] }) : {};
  const plain = tls && { key, cert };
  // Self-signed certificates have to pass here; whether one will do is decided above.
  const asking = tls && { ...plain, ca: authority.certificate, requestCert: true, rejectUnauthorized: false };

  const main = await listen(plain);
  const fronts = [main];
  const mutual = tls ? await listen(asking) : undefined;
  if (mutual) fronts.push(mutual);
  // The API's own way to the server.
  const inner = tls ? await listen() : main;
  const guarded = await listen(asking);
  // Tests ask it by plain http, whatever the realm.
  const desk = tls ? await listen() : guarded;

  const issuer = main.origin;
  const { provider, forgetNonces } = authorizationServer(issuer, { nonces, mtls: mutual?.origin });
  const stats = newStats();
  const inspect = inspector(inner.origin, issuer);
  addGrants(provider, { stats, inspect });
  const provide = withPages(provider);
  for (const server of new Set([...fronts, inner])) server.on('request', provide);
  count(provider, fronts, stats);

  const apiNonces = nonces && new NONCES[nonces]();
  const api = protectedApi(guarded.origin, { inspect, stats, nonces: apiNonces });
  const tests = admin(provider, { stats, forgetNonces: () => { forgetNonces(); apiNonces?.forget(); } });
  for (const server of new Set([guarded, desk])) {
    server.on('request', (request, response) => serve(request, response, { api, tests }).catch((error) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(502);
      response.end();
    }));
  }

  return {
    issuer,
    ...endpoints(issuer),
    ...(mutual && { mtls_token_endpoint: endpoints(mutual.origin).token_endpoint }),
    api: guarded.origin,
    admin: `${desk.origin}/-`,
  };
}

async function serve(request, response, { api, tests }) {
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;

  const { pathname: path, searchParams } = new URL(request.url, 'http://api');
  if (!path.startsWith('/-/')) return api(request, path, body, answer);
  const said = await tests(request.method, path.slice(3), Object.fromEntries(searchParams));
  return said ? answer(200, said) : answer(404, { error: 'no such thing' });
}
