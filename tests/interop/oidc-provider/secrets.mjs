// Keys and certificates, made anew at each start, and the files by which a test reads them.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { newKey } from './keys.mjs';
import { issue } from './x509.mjs';

const STALE = 24 * 60 * 60 * 1000;
const PREFIX = 'oidc-';

// A folder for this process alone, gone when it ends. `keep(name, text)` writes a file into it and returns its path.
function folder() {
  const state = process.env.INTEROP_STATE ?? tmpdir();
  mkdirSync(state, { recursive: true });
  // What a killed process has left behind.
  for (const name of readdirSync(state).filter((entry) => entry.startsWith(PREFIX))) {
    const path = join(state, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
    if (mtimeMs < Date.now() - STALE) rmSync(path, { recursive: true, force: true });
  }
  const path = mkdtempSync(join(state, PREFIX));
  process.on('exit', () => rmSync(path, { recursive: true, force: true }));
  return (name, text) => {
    const file = join(path, name);
    writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
    return file;
  };
}

const keep = folder();

const CURVES = { ES256: 'P-256', ES384: 'P-384' };
let rsa;
function generate(alg) {
  if (alg === 'EdDSA') return newKey('ed25519');
  if (CURVES[alg]) return newKey('ec', { namedCurve: CURVES[alg] });
  // One for all that want RSA: it is slow to make.
  rsa ??= newKey('rsa', { modulusLength: 2048 });
  return rsa;
}

// A key to sign with: `jwk` is its public half; `files` say where a test finds it.
export function signingKey(alg, kid) {
  const privateKey = generate(alg);
  const secret = privateKey.export({ format: 'jwk' });
  const { d, p, q, dp, dq, qi, ...shared } = secret;
  const about = { use: 'sig', alg, kid };
  return {
    alg,
    kid,
    privateKey,
    jwk: { ...shared, ...about },
    files: {
      kid,
      key_pem: keep(`${kid}.pem`, privateKey.export({ type: 'pkcs8', format: 'pem' })),
      key_jwk: keep(`${kid}.jwk`, JSON.stringify({ ...secret, ...about })),
    },
  };
}

const named = (name) => [['O', 'Interop'], ['CN', name]];

export const authority = issue({ names: named('Interop CA'), authority: true });
export const authorityFile = keep('ca.pem', authority.certificate);

// A certificate with its key; `files` say where a test finds them. `file` tells two of one name apart.
export function certificate(name, { file = name, issuer = authority, alternatives } = {}) {
  const issued = issue({ names: named(name), issuer, alternatives });
  const files = {
    certificate: keep(`${file}.crt`, issued.certificate),
    key: keep(`${file}.key`, issued.key),
  };
  return { ...issued, files };
}

// RFC 4514 has it backwards: the most specific name first.
export const subjectDn = ({ names }) => names.map((pair) => pair.join('=')).reverse().join(',');

// An authority that nobody trusts.
export const impostor = issue({ names: named('Interop CA'), authority: true });
