import { createPrivateKey, generateKeyPairSync } from 'node:crypto';

// A new private key, read from what was made instead of taken as it was made: in Node 20, the job that makes a key shares a lock
// with it, and a garbage collection that ends the job while the key is exported waits for that lock for ever.
export function newKey(type, options) {
  const { privateKey } = generateKeyPairSync(type, {
    ...options,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  return createPrivateKey({ key: privateKey, type: 'pkcs8', format: 'der' });
}
