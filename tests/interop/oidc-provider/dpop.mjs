// DPoP (RFC 9449) as the API checks it; and nonces that oidc-provider does not have.

import { createHash, randomBytes } from 'node:crypto';
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from 'jose';

export const ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'];
const RECENT = 300; // seconds
const MANY = 10_000;

const fresh = () => randomBytes(16).toString('base64url');

// One nonce for everybody, until it is forgotten.
export class SharedNonce {
  #nonce = fresh();

  next() { return this.#nonce; }
  accepts(nonce) { return nonce === this.#nonce; }
  forget() { this.#nonce = fresh(); }
  // Whether an answer to a proof with this nonce brings another.
  replaces(nonce) { return nonce !== this.#nonce; }
}

// Each for one proof. The names of oidc-provider's own nonces too, which these can stand in for.
export class SingleUseNonces {
  #outstanding = new Set();

  next() {
    const nonce = fresh();
    this.#outstanding.add(nonce);
    if (this.#outstanding.size > MANY) this.#outstanding.delete(this.#outstanding.values().next().value);
    return nonce;
  }

  accepts(nonce) { return this.#outstanding.delete(nonce); }
  forget() { this.#outstanding.clear(); }
  replaces() { return true; }
  nextChallenge() { return this.next(); }
  checkChallenge(nonce) { return this.accepts(nonce); }
}

export class ProofError extends Error {
  constructor(code, description) {
    super(description);
    this.code = code;
  }
}

// Checks proofs for one API. `nonces` may be missing: then none is asked for.
export function proofChecker(nonces) {
  const seen = new Set();

  return async function check(proofs, { method, url, token }) {
    const insist = (condition, description) => {
      if (!condition) throw new ProofError('invalid_dpop_proof', description);
    };
    insist(typeof proofs === 'string' && !proofs.includes(','), 'exactly one DPoP proof is needed');
    const options = { algorithms: ALGORITHMS, typ: 'dpop+jwt' };
    const verified = await jwtVerify(proofs, EmbeddedJWK, options).catch(() => undefined);
    insist(verified, 'no valid signature');
    const { payload, protectedHeader } = verified;
    insist(payload.htm === method, 'htm is of another method');
    insist(payload.htu === url, 'htu is of another address');
    insist(payload.ath === createHash('sha256').update(token).digest('base64url'), 'ath is of another token');
    insist(Math.abs(Date.now() / 1000 - payload.iat) < RECENT, 'iat is not recent');
    insist(typeof payload.jti === 'string' && payload.jti, 'jti is missing');
    if (nonces && !(typeof payload.nonce === 'string' && nonces.accepts(payload.nonce))) {
      throw new ProofError('use_dpop_nonce', payload.nonce ? 'another nonce is needed' : 'a nonce is needed');
    }
    insist(!seen.has(payload.jti), 'jti has been used before');
    seen.add(payload.jti);
    return { thumbprint: await calculateJwkThumbprint(protectedHeader.jwk), nonce: payload.nonce };
  };
}
