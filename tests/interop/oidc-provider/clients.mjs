// Every client that the realms know: what the server registers, and what the tests are told.

import { authorityFile, certificate, impostor, signingKey, subjectDn } from './secrets.mjs';

export const GRANTS = {
  code: 'authorization_code',
  refresh: 'refresh_token',
  machine: 'client_credentials',
  device: 'urn:ietf:params:oauth:grant-type:device_code',
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  jwtBearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
};

// Seconds. The server counts in whole ones: a short token lives 4 to 5 seconds.
export const lifetimes = { short: 5, long: 600 };
export const lifetimeOf = (clientId) => (clientId.endsWith('-short') ? lifetimes.short : lifetimes.long);

// As odd as the server lets them be: it refuses whatever is not printable ASCII (RFC 6749, appendix A: VSCHAR).
const ODD_SECRET = 's:e c/r+e%t&=~"\'\\?';
const scope = 'api api:read'; // `api:write` exists too, but no client may have it: invalid_scope
const offline = `${scope} offline_access`;
const signIn = `openid profile email ${offline}`;
const redirect = 'https://client.test/callback';

const METHODS = { basic: 'client_secret_basic', post: 'client_secret_post' };

// `told` goes to the tests, as it is; `metadata` to the server, beside what both must know.
function client(id, auth, { told = {}, grants = [GRANTS.machine], ...metadata } = {}) {
  const code = grants.includes(GRANTS.code);
  const registered = {
    client_id: id,
    client_secret: told.secret,
    token_endpoint_auth_method: METHODS[auth] ?? auth,
    token_endpoint_auth_signing_alg: told.alg,
    scope: (told.scope ?? scope) || undefined,
    grant_types: grants,
    redirect_uris: code ? [redirect] : [],
    response_types: code ? ['code'] : [],
    ...metadata,
  };
  return { told: { id, auth, scope, ...told }, registered };
}

const withSecret = (id, auth, secret, more) => client(id, auth, { ...more, told: { secret, ...more?.told } });

// RFC 7523, 2.2.
const assertionKeys = {};
function privateKeyJwt(alg, name = alg.toLowerCase(), next = false) {
  const id = `m2m-${name}`;
  const keys = [signingKey(alg, `${id}-key`), ...(next ? [signingKey(alg, `${id}-next-key`)] : [])];
  [assertionKeys[id]] = keys;
  const told = { alg, ...keys[0].files };
  for (const [field, value] of Object.entries(keys[1]?.files ?? {})) told[`next_${field}`] = value;
  return client(id, 'private_key_jwt', { told, jwks: { keys: keys.map(({ jwk }) => jwk) } });
}

// RFC 8705. The next certificate is for the same client with another key: what a rotation brings.
function mutualTls(id, auth, certificates, metadata) {
  const [{ files }, next] = certificates;
  const told = { ...files };
  if (next) Object.assign(told, { next_certificate: next.files.certificate, next_key: next.files.key });
  return client(id, auth, { told, ...metadata });
}
const bound = { tls_client_certificate_bound_access_tokens: true };
const byName = [certificate('m2m-tls'), certificate('m2m-tls', { file: 'm2m-tls-next' })];
const bySpiffe = certificate('m2m-tls-san', { alternatives: ['spiffe://interop.test/m2m-tls-san'] });
const selfSigned = ['m2m-tls-self-signed', 'm2m-tls-self-signed-next']
  .map((file) => certificate('m2m-tls-self-signed', { file, issuer: null }));
const asJwk = ({ der, publicKey }, index) => ({
  ...publicKey.export({ format: 'jwk' }), use: 'sig', kid: `certificate-${index}`, x5c: [der.toString('base64')],
});

const user = { grants: [GRANTS.code, GRANTS.refresh] };
const offlineUser = { ...user, told: { scope: offline } };
const device = { grants: [GRANTS.device, GRANTS.refresh], told: { scope: offline } };
// RFC 8252: any port of the loopback address.
const native = {
  grants: [GRANTS.code, GRANTS.refresh, GRANTS.device],
  told: { scope: signIn },
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
};
const dpop = { dpop_bound_access_tokens: true };

const roles = {
  basic: withSecret('m2m', 'basic', 'secret-basic'),
  post: withSecret('m2m-post', 'post', 'secret-post'),
  odd_basic: withSecret('odd id:1/+%', 'basic', ODD_SECRET),
  odd_post: withSecret('odd post:2/+%&=', 'post', ODD_SECRET),
  short: withSecret('m2m-short', 'basic', 'secret-short'),
  // Their first refresh tokens come from the admin address: no browser takes part in our tests.
  refresh: withSecret('refresher', 'basic', 'secret-refresh', offlineUser),
  refresh_short: withSecret('refresher-short', 'basic', 'secret-refresh', offlineUser),
  // What the API itself is, when it asks about a token.
  api: withSecret('api-server', 'basic', 'secret-api', { told: { scope: '' } }),

  secret_jwt: withSecret('m2m-secret-jwt', 'client_secret_jwt', 'secret-jwt-of-at-least-32-bytes-0123456789', {
    told: { alg: 'HS256' },
  }),
  es256: privateKeyJwt('ES256'),
  es384: privateKeyJwt('ES384'),
  rs256: privateKeyJwt('RS256'),
  ps256: privateKeyJwt('PS256'),
  eddsa: privateKeyJwt('EdDSA'),
  rotating: privateKeyJwt('ES256', 'rotating', true),
  tls: mutualTls('m2m-tls', 'tls_client_auth', byName, { ...bound, tls_client_auth_subject_dn: subjectDn(byName[0]) }),
  tls_san: mutualTls('m2m-tls-san', 'tls_client_auth', [bySpiffe], {
    tls_client_auth_san_uri: 'spiffe://interop.test/m2m-tls-san',
  }),
  tls_self_signed: mutualTls('m2m-tls-self-signed', 'self_signed_tls_client_auth', selfSigned, {
    ...bound, jwks: { keys: selfSigned.map(asJwk) },
  }),

  dpop: withSecret('m2m-dpop', 'basic', 'secret-dpop', dpop),
  dpop_short: withSecret('m2m-dpop-short', 'basic', 'secret-dpop', dpop),
  dpop_refresh: client('refresher-dpop', 'none', { ...offlineUser, ...dpop }),
  device: client('device', 'none', device),
  device_short: client('device-short', 'none', device),
  device_slow: client('device-slow', 'none', device),
  native: client('native', 'none', native),
  native_short: client('native-short', 'none', native),
  exchange: withSecret('exchanger', 'basic', 'secret-exchange', { grants: [GRANTS.exchange, GRANTS.machine] }),
  frontend: withSecret('frontend', 'basic', 'secret-frontend', user),
  jwt_bearer: withSecret('jwt-bearer', 'basic', 'secret-jwt-bearer', { grants: [GRANTS.jwtBearer] }),
  par: withSecret('par', 'basic', 'secret-par', user),
  rar: withSecret('m2m-rar', 'basic', 'secret-rar', { authorization_details_types: ['payment'] }),
};

// Who vouches for users in the JWT bearer grant and in token exchange: an authorization server elsewhere.
const partnerKey = signingKey('ES256', 'partner-key');
export const partner = { ...partnerKey, issuer: 'https://partner.test' };

export const registered = Object.values(roles).map((role) => role.registered);
export const told = {
  clients: Object.fromEntries(Object.entries(roles).map(([role, { told: said }]) => [role, said])),
  partner: { issuer: partner.issuer, alg: partner.alg, ...partner.files },
  ca: authorityFile,
  // Neither is any client's: the first has a name that nobody registered, the second an authority that nobody trusts.
  certificates: {
    other: certificate('somebody-else').files,
    untrusted: certificate('m2m-tls', { file: 'm2m-tls-untrusted', issuer: impostor }).files,
  },
};

// The key by which this client signs its assertions.
export const assertionKey = (id) => assertionKeys[id];
