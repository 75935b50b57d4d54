//! Who calls, and for which tenant.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
};

use crate::portal::{Portal, Refusal, refuse};

/// A tenant for whom somebody has been authenticated.
///
/// Nothing else makes one: no handler can take it from a header, a path or a body by mistake.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tenant(Arc<str>);

impl Tenant {
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

/// Whose users belong to which tenant.
#[derive(Debug)]
pub(crate) struct Directory {
    tenants: RwLock<HashMap<String, Tenant>>,
}

impl Directory {
    pub(crate) fn new<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let tenants = members.into_iter().map(|(user, tenant)| (user.to_owned(), Tenant(tenant.into())));
        Self { tenants: RwLock::new(tenants.collect()) }
    }

    pub(crate) fn tenant_of(&self, user: &str) -> Option<Tenant> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }

    /// Takes out a tenant and its users, by its name: for administration, which has no caller of that tenant.
    pub(crate) fn remove(&self, name: &str) -> Option<Tenant> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let tenant = tenants.values().find(|tenant| tenant.name() == name).cloned();
        tenants.retain(|_, tenant| tenant.name() != name);
        tenant
    }
}

/// By the caller's token, of which the authorization server says whether it is good (RFC 7662). A service that verifies JWTs
/// itself would take the keys from `AuthorizationServer::jwks` instead.
impl FromRequestParts<Arc<Portal>> for Tenant {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, portal: &Arc<Portal>) -> Result<Self, Refusal> {
        let unauthorized = || refuse(StatusCode::UNAUTHORIZED, "who are you?");
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unauthorized)?;
        let known = portal.introspect(token).await?;
        // A token for another service is none for this one.
        if !known.is_active() || !known.has_scope("portal") {
            return Err(unauthorized());
        }
        let tenant = known.subject().and_then(|user| portal.directory().tenant_of(user));
        tenant.ok_or_else(|| refuse(StatusCode::FORBIDDEN, "you are of none of our tenants"))
    }
}
