// The pages on which a person in a browser signs in, agrees and signs out. Anybody may be anyone: there are no passwords.

const escape = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

// Nothing comes from elsewhere: a test must not wait for somebody's font.
const page = (title, body) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 22rem; margin: 4rem auto; padding: 0 1rem }
input, button { font: inherit; padding: .5rem; margin: .25rem 0 1rem }
</style></head>
<body><h1>${title}</h1>${body}</body></html>
`;

const pages = {
  login: ({ params }) => page('Sign in', `<form method="post">
<label>User name <input name="login" autocomplete="username" value="${escape(params.login_hint ?? '')}" required autofocus></label>
<button id="sign-in">Sign in</button>
</form>
<form method="post"><button id="cancel" name="cancel" value="yes">Cancel</button></form>`),
  consent: ({ params, session }) => page('Allow access?', `<p>${escape(session.accountId)}, shall
<b>${escape(params.client_id)}</b> have access to: ${escape(params.scope ?? '')}?</p>
<form method="post"><button id="allow">Allow</button> <button id="deny" name="cancel" value="yes">Deny</button></form>`),
};

const denied = { error: 'access_denied', error_description: 'the user said no' };

const answers = {
  login: async (_provider, _interaction, { login }) => ({ login: { accountId: login || 'nobody' } }),
  consent: async (provider, { grantId, params, prompt: { details }, session: { accountId } }) => {
    const grant = (grantId && await provider.Grant.find(grantId))
      || new provider.Grant({ accountId, clientId: params.client_id });
    if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '));
    if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
    for (const [resource, scopes] of Object.entries(details.missingResourceScopes ?? {})) {
      grant.addResourceScope(resource, scopes.join(' '));
    }
    return { consent: { grantId: await grant.save() } };
  },
};

async function bodyOf(request) {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  return Object.fromEntries(new URLSearchParams(body));
}

async function interact(provider, request, response) {
  const interaction = await provider.interactionDetails(request, response);
  const { name } = interaction.prompt;
  if (request.method !== 'POST') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    return response.end(pages[name](interaction));
  }
  const form = await bodyOf(request);
  const result = form.cancel ? denied : await answers[name](provider, interaction, form);
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: !form.cancel });
}

// Where the server sends a browser that has to do something first.
export const interactions = { url: (_ctx, { uid }) => `/interaction/${uid}` };

// The server with these pages.
export function withPages(provider) {
  const provide = provider.callback();
  return (request, response) => {
    if (!request.url.startsWith('/interaction/')) return provide(request, response);
    return interact(provider, request, response).catch((error) => {
      // Somebody's old page, or one of another browser.
      response.writeHead(error.status ?? 500, { 'content-type': 'text/html; charset=utf-8' });
      response.end(page('This is over', `<p>${escape(error.message)}</p>`));
    });
  };
}

// Sign-out, as a client may begin it (OpenID Connect RP-Initiated Logout 1.0): the user is asked.
export const rpInitiatedLogout = {
  enabled: true,
  logoutSource: async (ctx, form) => {
    ctx.body = page('Sign out?', `${form}
<button id="sign-out" form="op.logoutForm" name="logout" value="yes">Sign out</button>
<button id="stay" form="op.logoutForm">Stay</button>`);
  },
  postLogoutSuccessSource: async (ctx) => { ctx.body = page('Signed out', ''); },
};
