// The protected API of a realm.

import { createHash } from 'node:crypto';
import { createRemoteJWKSet, jwtVerify } from 'jose';

import { resources } from './authorization_server.mjs';
import { told } from './clients.mjs';
import { ALGORITHMS, ProofError, proofChecker } from './dpop.mjs';

// What a token stands for, or undefined when it is not valid (any more). `at` is where the server answers by plain
// http, `issuer` what it calls itself.
export function inspector(at, issuer) {
  const keys = createRemoteJWKSet(new URL(`${at}/jwks`));
  const { id, secret } = told.clients.api;
  return async function inspect(token) {
    if (token.split('.').length === 3) {
      // The server neither introspects nor revokes JWTs (unsupported_token_type): they are checked here.
      const options = { issuer, audience: resources.jwt, typ: 'at+jwt' };
      return jwtVerify(token, keys, options).then(({ payload }) => payload, () => undefined);
    }
    const answer = await fetch(`${at}/token/introspection`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
      body: new URLSearchParams({ token }),
    });
    if (answer.status !== 200) throw new Error(`introspection answered ${answer.status}`);
    const claims = await answer.json();
    return claims.active ? claims : undefined;
  };
}

class Rejected extends Error {
  constructor(status, scheme, parameters = {}) {
    super(`rejected with ${status}`);
    Object.assign(this, { status, scheme, parameters });
  }
}

// With `nonces` it takes DPoP only, and only with a nonce of theirs.
export function protectedApi(origin, { inspect, stats, nonces }) {
  const check = proofChecker(nonces);
  const known = nonces ? 'DPoP' : 'Bearer';

  // The claims of the token that came with this request, and the scheme it came by.
  async function authenticate(request, path) {
    const [, said, token] = /^(bearer|dpop) +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (!token) throw new Rejected(401, known); // RFC 6750, 3.1: no error code for a request without credentials
    const scheme = said.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer';
    const invalid = (description, by = scheme) =>
      new Rejected(401, by, { error: 'invalid_token', error_description: description });

    const claims = await inspect(token);
    if (!claims) throw invalid('expired, revoked or unknown');
    const { jkt, 'x5t#S256': certificate } = claims.cnf ?? {};
    // RFC 9449, 7.2: a token that is bound to a key is no bearer token.
    if (scheme === 'Bearer' && (jkt || nonces)) throw invalid('Bearer is not enough', 'DPoP');
    if (scheme === 'DPoP') {
      const url = `${origin}${path}`;
      const proof = await check(request.headers.dpop, { method: request.method, url, token });
      request.nonce = proof.nonce;
      if (proof.thumbprint !== jkt) throw invalid('bound to another key');
    }
    if (certificate) { // RFC 8705, 3
      const shown = request.socket.getPeerX509Certificate?.();
      const thumbprint = shown && createHash('sha256').update(shown.raw).digest('base64url');
      if (thumbprint !== certificate) throw invalid('bound to another certificate');
    }
    if (path.startsWith('/read') && !claims.scope?.split(' ').includes('api:read')) {
      throw new Rejected(403, scheme, { error: 'insufficient_scope', scope: 'api:read' });
    }
    return { claims, scheme };
  }

  const challenge = ({ scheme, parameters }) => {
    const all = { realm: 'api', ...parameters, ...(scheme === 'DPoP' && { algs: ALGORITHMS.join(' ') }) };
    return `${scheme} ${Object.entries(all).map(([name, value]) => `${name}="${value}"`).join(', ')}`;
  };

  return async function serve(request, path, body, answer) {
    try {
      const { claims, scheme } = await authenticate(request, path);
      stats.api_ok += 1;
      const { client_id, scope = '', sub, act, aud, cnf, authorization_details } = claims;
      const headers = nonces?.replaces(request.nonce) ? { 'dpop-nonce': nonces.next() } : {};
      answer(200, {
        path, method: request.method, client_id, scope, body, scheme, sub, act, aud, cnf, authorization_details,
      }, headers);
    } catch (error) {
      const rejected = error instanceof ProofError
        ? new Rejected(401, 'DPoP', { error: error.code, error_description: error.message }) : error;
      if (!(rejected instanceof Rejected)) throw error;
      stats.api_rejected += 1;
      if (error.code === 'use_dpop_nonce') stats.api_nonce_challenges += 1;
      answer(rejected.status, { error: rejected.message }, {
        'www-authenticate': challenge(rejected),
        ...(nonces?.replaces(request.nonce) && { 'dpop-nonce': nonces.next() }),
      });
    }
  };
}
