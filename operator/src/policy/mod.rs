//! From policies to what sidecars enforce, for one model in one namespace, in five steps:
//! dereference → validate → build → apply → update status. The second and the third are pure.

mod apply;
mod build;
mod bypass;
mod calibrate;
mod dereference;
mod finalize;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod invariants;
mod sidecar;
mod update_status;
mod validate;

pub(crate) use finalize::Withdrawals;

use crate::context::{Context, Scope};
use crate::reconcile::{Done, Failed};
use personaguard_api::conditions::reason;

pub(crate) async fn reconcile(context: &Context, scope: &Scope) -> Result<Done, Failed> {
    let mut inputs = dereference::dereference(context, scope).await?;
    finalize::hold(context, &inputs).await?;
    let verdicts = validate::validate(&inputs);
    let desired = build::build(context, &inputs, &verdicts).map_err(Failed::Build)?;
    apply::apply(context, &mut inputs, &desired).await?;
    let again = update_status::update(context, &inputs, &verdicts).await?;
    let left = finalize::release(context, &inputs).await?;
    let outcome =
        verdicts.rejected.values().next().map_or(reason::RESOLVED, |rejection| rejection.reason);
    Ok(Done { outcome: outcome.to_owned(), again: again.into_iter().chain(left).min() })
}
