// Certificates (RFC 5280), as far as a test on loopback needs them: Node reads them but cannot issue any.

import { createHash, createPublicKey, randomBytes, sign } from 'node:crypto';

import { newKey } from './keys.mjs';

const DAY = 24 * 60 * 60 * 1000;

const tlv = (tag, ...parts) => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const size = body.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const sequence = (...parts) => tlv(0x30, ...parts);
const octets = (...parts) => tlv(0x04, ...parts);
const TRUE = tlv(0x01, [0xff]);

const oid = (dotted) => {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  // None of ours has a number of more than 14 bits.
  const base128 = (number) => (number < 0x80 ? [number] : [0x80 | (number >> 7), number & 0x7f]);
  return tlv(0x06, [first * 40 + second, ...rest.flatMap(base128)]);
};
const ECDSA_WITH_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const ATTRIBUTES = { O: '2.5.4.10', CN: '2.5.4.3' };
const EXTENSIONS = {
  subjectKeyIdentifier: '2.5.29.14', keyUsage: '2.5.29.15', subjectAltName: '2.5.29.17', basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35', extKeyUsage: '2.5.29.37',
};
const PURPOSES = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']; // server and client authentication

// [['O', 'Interop'], ['CN', 'somebody']]
const distinguishedName = (names) => sequence(
  ...names.map(([type, value]) => tlv(0x31, sequence(oid(ATTRIBUTES[type]), tlv(0x0c, value)))),
);
const utcTime = (time) => tlv(0x17, new Date(time).toISOString().replace(/^..|[-:T]|\.\d+/g, ''));
const extension = (name, critical, value) => sequence(oid(EXTENSIONS[name]), critical ? TRUE : '', octets(value));

const alternativeName = (name) => {
  if (name.includes('://')) return tlv(0x86, name);
  if (/^[\d.]+$/.test(name)) return tlv(0x87, name.split('.').map(Number));
  return tlv(0x82, name);
};

// Issues a certificate for a new P-256 key: by `issuer` (an earlier result of this), else by the key itself.
export function issue({ names, alternatives = [], authority = false, issuer }) {
  const privateKey = newKey('ec', { namedCurve: 'P-256' });
  const publicKey = createPublicKey(privateKey);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha256').update(spki).digest().subarray(0, 20);
  const now = Date.now();
  const extensions = [
    extension('subjectKeyIdentifier', false, octets(keyId)),
    extension('authorityKeyIdentifier', false, sequence(tlv(0x80, issuer?.keyId ?? keyId))),
    // keyCertSign and cRLSign; or digitalSignature.
    extension('keyUsage', true, tlv(0x03, authority ? [1, 0x06] : [7, 0x80])),
    extension('basicConstraints', true, sequence(authority ? TRUE : '')),
    authority ? '' : extension('extKeyUsage', false, sequence(...PURPOSES.map(oid))),
    alternatives.length ? extension('subjectAltName', false, sequence(...alternatives.map(alternativeName))) : '',
  ];
  const toBeSigned = sequence(
    tlv(0xa0, tlv(0x02, [2])), // version 3
    tlv(0x02, [1], randomBytes(15)),
    ECDSA_WITH_SHA256,
    distinguishedName(issuer?.names ?? names),
    sequence(utcTime(now - DAY), utcTime(now + 30 * DAY)),
    distinguishedName(names),
    spki,
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', toBeSigned, issuer?.privateKey ?? privateKey);
  const der = sequence(toBeSigned, ECDSA_WITH_SHA256, tlv(0x03, [0], signature));
  const lines = der.toString('base64').match(/.{1,64}/g).join('\n');
  return {
    names,
    keyId,
    privateKey,
    publicKey,
    der,
    certificate: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}
