//! Work that comes to its end although whoever asked for it has gone.

use crate::error::Failure;
use occi_backend::Interrupted;
use tokio_util::sync::CancellationToken;

/// Does `work` in a task of its own, so that it comes to an end, and clears up, also when whoever asked for it has gone. That
/// it is not wanted any more, as that or `stopped` says, it is told by its token.
pub(crate) async fn apart<T, W>(
    stopped: impl Future<Output = Interrupted>,
    work: impl FnOnce(CancellationToken) -> W,
) -> Result<T, Failure>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let unwanted = CancellationToken::new();
    let _gone = unwanted.clone().drop_guard();
    let mut work = tokio::spawn(work(unwanted.clone()));
    let done = tokio::select! {
        done = &mut work => done,
        _ = stopped => {
            unwanted.cancel();
            work.await
        }
    };
    done.unwrap_or_else(|error| Err(Failure::host("end what was begun")(std::io::Error::other(error))))
}

/// What `work` gives, unless it is not wanted any more.
pub(crate) async fn if_wanted<T>(token: &CancellationToken, work: impl Future<Output = T>) -> Result<T, Failure> {
    let done = token.run_until_cancelled(work).await;
    done.ok_or_else(|| Interrupted.into())
}

/// What is done although nobody wants it any more has failed.
pub(crate) fn failed_if_unwanted(done: Result<(), Failure>, token: &CancellationToken) -> Result<(), Failure> {
    match token.is_cancelled() {
        true => done.and_then(|()| Err(Interrupted.into())),
        false => done,
    }
}
