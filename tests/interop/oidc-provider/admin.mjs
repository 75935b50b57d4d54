// What tests need and OAuth has no word for: what a user does in a browser, and what the servers count.

import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';

import { assertionKey, partner, told } from './clients.mjs';

const GRANTED = 'api api:read offline_access';
const USER = 'alice';

async function granted(provider, clientId, accountId, scope) {
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  return grant.save();
}

// A first refresh token, as a sign-in would leave it behind; bound to a key if that is given.
async function refreshToken(provider, { client_id: clientId = told.clients.refresh.id, jkt }) {
  const client = await provider.Client.find(clientId);
  const token = new provider.RefreshToken({
    accountId: USER, client, grantId: await granted(provider, clientId, USER, GRANTED),
    scope: GRANTED, gty: 'authorization_code', jkt,
  });
  return { refresh_token: await token.save() };
}

// A user's access token, as the frontend sends it on.
async function userToken(provider, { sub: accountId = USER, scope = 'api api:read' }) {
  const clientId = told.clients.frontend.id;
  const client = await provider.Client.find(clientId);
  const grantId = await granted(provider, clientId, accountId, scope);
  const token = new provider.AccessToken({ accountId, client, grantId, scope, gty: 'authorization_code' });
  return { access_token: await token.save() };
}

// The user types the code in and says yes or no (RFC 8628, 3.3).
async function decideDevice(provider, { user_code: typed = '', decision }) {
  const code = await provider.DeviceCode.findByUserCode(typed.toUpperCase().replace(/\W/g, ''));
  if (!code || code.accountId || code.error) return undefined;
  if (decision === 'approve') {
    const { scope = '' } = code.params;
    Object.assign(code, { accountId: USER, scope, grantId: await granted(provider, code.clientId, USER, scope) });
  } else {
    Object.assign(code, { error: 'access_denied', errorDescription: 'the user said no' });
  }
  await code.save();
  return { decision: decision === 'approve' ? 'approve' : 'deny' };
}

// A signed assertion (RFC 7523, 3): of a client about itself, or else of the partner about a user.
async function assertion(provider, { client_id: clientId, sub = USER, seconds = 60 }) {
  const key = clientId ? assertionKey(clientId) : partner;
  if (!key) return undefined;
  const now = Math.floor(Date.now() / 1000);
  const jwt = new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT' })
    .setIssuer(clientId ?? partner.issuer)
    .setSubject(clientId ?? sub)
    .setAudience(provider.issuer)
    .setIssuedAt(now)
    .setExpirationTime(now + Number(seconds));
  return { assertion: await jwt.sign(key.privateKey) };
}

// Answers below `/-/`: what `GET stats` and these POSTs say, or undefined when there is nothing to say.
export function admin(provider, { stats, forgetNonces }) {
  const posts = {
    'refresh-token': refreshToken,
    'user-token': userToken,
    device: decideDevice,
    assertion,
    'forget-nonces': async () => { forgetNonces(); return {}; },
  };
  return async function answer(method, name, parameters) {
    if (method === 'GET' && name === 'stats') return stats;
    if (method === 'POST' && Object.hasOwn(posts, name)) return posts[name](provider, parameters);
    return undefined;
  };
}
