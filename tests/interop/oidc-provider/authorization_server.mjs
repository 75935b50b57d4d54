// oidc-provider, set up.

import { randomBytes, randomUUID } from 'node:crypto';
import { Provider, errors } from 'oidc-provider';
import instance from 'oidc-provider/lib/helpers/weak_cache.js';

import { lifetimeOf, lifetimes, registered } from './clients.mjs';
import { ALGORITHMS, SingleUseNonces } from './dpop.mjs';
import { interactions, rpInitiatedLogout } from './interactions.mjs';
import { newKey } from './keys.mjs';

const PATHS = {
  authorization_endpoint: '/auth',
  device_authorization_endpoint: '/device/auth',
  end_session_endpoint: '/session/end',
  introspection_endpoint: '/token/introspection',
  jwks_uri: '/jwks',
  pushed_authorization_request_endpoint: '/request',
  registration_endpoint: '/reg',
  revocation_endpoint: '/token/revocation',
  token_endpoint: '/token',
  userinfo_endpoint: '/me',
};
export const endpoints = (origin, names = Object.keys(PATHS)) =>
  Object.fromEntries(names.map((name) => [name, `${origin}${PATHS[name]}`]));
// Where a client authenticates itself, and so may have to show a certificate (RFC 8705, 5).
const ALIASED = Object.keys(PATHS).filter((name) => ![
  'authorization_endpoint', 'end_session_endpoint', 'jwks_uri', 'registration_endpoint', 'userinfo_endpoint',
].includes(name));

// RFC 8707. Without a resource tokens are opaque. The server takes one resource a request; two are invalid_target.
export const resources = { jwt: 'https://jwt.api.test/', opaque: 'https://opaque.api.test/v1' };

const privateKey = newKey('ec', { namedCurve: 'P-256' });
const keys = [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'es256' }];
const ttl = (_ctx, _token, client) => lifetimeOf(client.clientId);

const certificateOf = (ctx) => ctx.socket.getPeerX509Certificate?.();

// RFC 8705, 2.1.2, for the two of its names that clients.mjs registers.
function subjectMatches(ctx, property, expected) {
  const { subject, subjectAltName } = certificateOf(ctx);
  if (property === 'tls_client_auth_subject_dn') return subject.split('\n').reverse().join(',') === expected;
  if (property === 'tls_client_auth_san_uri') return subjectAltName?.split(', ').includes(`URI:${expected}`) ?? false;
  return false;
}

async function resourceServer(_ctx, resource) {
  const name = Object.keys(resources).find((key) => resources[key] === resource);
  if (!name) throw new errors.InvalidTarget();
  return {
    scope: 'api api:read',
    audience: resource,
    accessTokenFormat: name,
    ...(name === 'jwt' && { jwt: { sign: { alg: 'ES256' } } }),
  };
}

const requestedDetails = (ctx) => JSON.parse(ctx.oidc.params.authorization_details ?? '[]');

// `nonces`: 'shared' (as oidc-provider has them), 'single_use' or undefined. `mtls`: the origin that asks for
// certificates.
export function authorizationServer(issuer, { nonces, mtls } = {}) {
  const provider = new Provider(issuer, {
    clients: registered,
    clientAuthMethods: [
      'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none',
      'tls_client_auth', 'self_signed_tls_client_auth',
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { clientAuthSigningAlgValues: ['HS256', ...ALGORITHMS], dPoPSigningAlgValues: ALGORITHMS },
    scopes: ['openid', 'api', 'api:read', 'api:write', 'offline_access'],
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
    jwks: { keys },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => claimsOf(id) }),
    interactions,
    extraTokenClaims: async (ctx) => ctx?.oidc?.act && { act: ctx.oidc.act },
    rotateRefreshToken: true,
    // Its own refuses loopback, where the applications are that it tells of a sign-out.
    fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
    ttl: {
      ClientCredentials: ttl, AccessToken: ttl, DeviceCode: ttl,
      RefreshToken: 3600, Grant: 3600, IdToken: lifetimes.long,
    },
    ...(mtls && { discovery: { mtls_endpoint_aliases: endpoints(mtls, ALIASED) } }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      rpInitiatedLogout,
      backchannelLogout: { enabled: true },
      // Anybody may register a client: so a test names the addresses of its own web application.
      registration: { enabled: true, idFactory: registeredId },
      introspection: { enabled: true, allowedPolicy: async () => true }, // the API asks about everyone's tokens
      revocation: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
      richAuthorizationRequests: {
        enabled: true,
        types: { payment: { validate: validatePayment } },
        authorizationDetailsForGrantSource: requestedDetails,
        authorizationDetailsForAccessToken: requestedDetails,
        authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
      },
      dPoP: {
        enabled: true,
        ...(nonces && { nonceSecret: randomBytes(32), requireNonce: () => true }),
      },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        getCertificate: certificateOf,
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: subjectMatches,
      },
    },
  });
  const singleUse = nonces === 'single_use' ? new SingleUseNonces() : undefined;
  // Its own nonces serve any number of proofs for some minutes, and there is no setting for others.
  if (singleUse) instance(provider).DPoPNonces = singleUse;
  return { provider, forgetNonces: () => singleUse?.forget() };
}

const claimsOf = (id) => ({
  sub: id,
  name: id.charAt(0).toUpperCase() + id.slice(1),
  preferred_username: id,
  email: `${id}@users.test`,
  email_verified: true,
});

// Tokens of whose `client_name` ends in `-short` are short, as those of the clients that were there before.
const registeredId = (ctx) => `${ctx.oidc.body.client_name ?? 'app'}-`.replace(/(-short)?-$/, `-${randomUUID()}$1`);

function validatePayment(_ctx, { type, ...detail }) {
  if (typeof detail.amount !== 'string') throw new errors.InvalidAuthorizationDetails(`a ${type} needs an amount`);
}
