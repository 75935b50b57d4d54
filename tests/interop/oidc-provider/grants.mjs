// Grants that oidc-provider leaves to its user to write, over its own helpers; and the pace of device polling.

import { createLocalJWKSet, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';
import { applyDpopBinding, applyMtlsBinding } from 'oidc-provider/lib/helpers/grant_common.js';
import {
  buildTokenResponse, checkDpopRequired, checkMtlsCert, resolveRequestedResources, validateClientScope, validateDpop,
} from 'oidc-provider/lib/helpers/grants.js';
import instance from 'oidc-provider/lib/helpers/weak_cache.js';

import { GRANTS, partner } from './clients.mjs';

const TYPE = 'urn:ietf:params:oauth:token-type:';
// The one `audience` that token exchange knows.
export const DOWNSTREAM = 'https://downstream.test/';

const partnerKeys = createLocalJWKSet({ keys: [partner.jwk] });
const usedAssertions = new Set();

// Whom a partner's assertion speaks of (RFC 7523, 3), or undefined. One `jti` counts once.
async function vouchedFor(provider, assertion, { once }) {
  const audience = [provider.issuer, provider.urlFor('token')];
  const options = { issuer: partner.issuer, audience, requiredClaims: ['exp', 'jti', 'sub'] };
  const claims = await jwtVerify(assertion, partnerKeys, options).then(({ payload }) => payload, () => undefined);
  if (!claims || !once) return claims;
  if (usedAssertions.has(claims.jti)) return undefined;
  usedAssertions.add(claims.jti);
  return claims;
}

// An access token for this account: bound to a key if the client proves one, for the resource that it names.
async function accessToken(provider, ctx, accountId, scopes, downstream) {
  const dPoP = await validateDpop(provider, ctx);
  checkDpopRequired(provider, ctx, dPoP);
  const token = new provider.AccessToken({ accountId, client: ctx.oidc.client, gty: ctx.oidc.params.grant_type });
  applyMtlsBinding(token, checkMtlsCert(provider, ctx));
  await applyDpopBinding(provider, ctx, dPoP, token);

  const [server, another] = await resolveRequestedResources(provider, ctx);
  if (another) throw new errors.InvalidTarget('one resource a request');
  const allowed = server ? scopes.filter((scope) => server.scope.split(' ').includes(scope)) : scopes;
  token.scope = allowed.join(' ') || undefined;
  if (server || downstream) token.resourceServer = server || downstream;
  return token;
}

async function respond(provider, ctx, token, more) {
  ctx.oidc.entity('AccessToken', token);
  ctx.body = buildTokenResponse(provider, {
    accessToken: await token.save(),
    expiresIn: token.expiration,
    scope: token.scope,
    tokenType: token.tokenType,
    ...more,
  });
}

// RFC 7523, 2.1.
async function jwtBearer(provider, ctx) {
  const { assertion } = ctx.oidc.params;
  if (!assertion) throw new errors.InvalidRequest('missing required parameter: assertion');
  const claims = await vouchedFor(provider, assertion, { once: true });
  if (!claims) throw new errors.InvalidGrant('the assertion is not valid, or not for the first time');
  await respond(provider, ctx, await accessToken(provider, ctx, claims.sub, [...validateClientScope(provider, ctx)]));
}

// RFC 8693. Whatever is wrong with a token of the request is invalid_request (2.2.2).
async function tokenExchange(provider, ctx, inspect) {
  const { params } = ctx.oidc;
  const invalid = (description) => new errors.InvalidRequest(description);

  const party = async (name) => {
    const [token, type] = [params[`${name}_token`], params[`${name}_token_type`]];
    if (!token !== !type) throw invalid(`${name}_token and ${name}_token_type go together`);
    if (!token) return undefined;
    const claims = type === `${TYPE}access_token` ? await inspect(token)
      : type === `${TYPE}jwt` ? await vouchedFor(provider, token, { once: false })
        : undefined;
    if (!claims) throw invalid(`${name}_token is not valid, or of a type that is not supported`);
    return { ...claims, sub: claims.sub ?? claims.client_id };
  };
  const subject = await party('subject');
  if (!subject) throw invalid('missing required parameter: subject_token');
  const actor = await party('actor');

  if (params.audience && params.audience !== DOWNSTREAM) throw new errors.InvalidTarget('unknown audience');
  // No more than what the subject's token allows; a partner's says nothing of scopes.
  const may = subject.scope?.split(' ');
  const scopes = [...validateClientScope(provider, ctx)];
  const excess = may && scopes.find((scope) => !may.includes(scope));
  if (excess) throw new errors.InvalidScope('more than the subject token allows', excess);

  const requested = params.requested_token_type ?? `${TYPE}access_token`;
  // Read by `extraTokenClaims`: the chain of those who act (4.1).
  if (actor) ctx.oidc.act = { sub: actor.sub, ...(subject.act && { act: subject.act }) };
  const jwt = requested === `${TYPE}jwt`;
  if (!jwt && requested !== `${TYPE}access_token`) throw invalid('requested_token_type is not supported');
  const downstream = jwt && new provider.ResourceServer(DOWNSTREAM, { scope: '', accessTokenFormat: 'jwt' });
  const token = await accessToken(provider, ctx, subject.sub, scopes.length ? scopes : may ?? [], downstream);
  // A JWT is asked for to be sent on as somebody's assertion, which is not how an API is called (2.2.1): `N_A`.
  await respond(provider, ctx, token, { issuedTokenType: requested, ...(jwt && { tokenType: 'N_A' }) });
}

// RFC 8628, 3.5: oidc-provider never says slow_down. Here who asks again sooner than the interval, while the user has
// not decided, is told so; a `slow` client once in any case. Each time the interval grows by five seconds.
const INTERVAL = 1;
function paced(original, stats) {
  const polls = new Map();
  return (ctx) => original(ctx).catch((error) => {
    if (error.error !== 'authorization_pending') throw error;
    const code = ctx.oidc.params.device_code;
    const now = Date.now();
    const { next = 0, interval = INTERVAL, count = 0 } = polls.get(code) ?? {};
    const slow = ctx.oidc.client.clientId.endsWith('-slow') && count === 0;
    const pace = slow || now < next ? interval + 5 : interval;
    // A tenth of a second for clocks that do not agree.
    polls.set(code, { next: now + pace * 1000 - 100, interval: pace, count: count + 1 });
    if (pace === interval) throw error;
    stats.slow_downs += 1;
    throw new errors.SlowDown();
  });
}

// `inspect(token)`: the claims of an access token of this server, or undefined.
export function addGrants(provider, { stats, inspect }) {
  // Parameters, and those of them that may come more than once.
  const add = (name, handler, parameters, lists) => provider.registerGrantType(name, handler, parameters, lists);
  add(GRANTS.jwtBearer, (ctx) => jwtBearer(provider, ctx), ['assertion', 'scope', 'resource'], ['resource']);
  add(GRANTS.exchange, (ctx) => tokenExchange(provider, ctx, inspect), [
    'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type', 'scope',
    'resource', 'audience',
  ], ['resource', 'audience']);

  const original = instance(provider).grantTypeHandlers.get(GRANTS.device);
  add(GRANTS.device, paced(original, stats), ['device_code', 'resource', 'authorization_details'], ['resource']);
  provider.on('device_authorization.success', (_ctx, body) => { body.interval = INTERVAL; });
}
