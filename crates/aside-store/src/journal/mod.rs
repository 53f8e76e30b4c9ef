//! The journal: one queue and one writer. While a batch is being made durable, the next one gathers (group commit).

mod op;
mod queue;

use std::{sync::Arc, time::Instant};

use aside_proto::v1;
use sqlx::{Acquire as _, Connection as _};
use tokio::task::JoinHandle;

pub(crate) use op::{Attach, Job, Prune, Touch};
use op::{Op, Single};
use queue::Queue;
pub use queue::Reply;

use crate::{
    db::{BEGIN_WRITE, Connection, Database, Transaction},
    effect::{Effect, Observer},
    error::{Refused, StoreError},
    store::{Clock, Entropy, Newcomers},
    write::{Context, Moved, Part},
};

/// What operations need to know besides the request and the database.
pub(crate) struct Surroundings {
    pub(crate) limits: v1::Limits,
    /// The server's own limits to what is kept of each log.
    pub(crate) retention: v1::Retention,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) newcomers: Newcomers,
}

/// Where requests to write go. Closes the queue when it is dropped: what is in it is still written.
pub(crate) struct Journal {
    queue: Arc<Queue>,
}

impl Journal {
    /// Starts the writer. Its task ends when the journal is closed and everything in it is written.
    pub(crate) fn start(
        database: Database,
        connection: Connection,
        surroundings: Arc<Surroundings>,
        observer: Arc<dyn Observer>,
    ) -> (Self, JoinHandle<()>) {
        let queue = Arc::new(Queue::default());
        let writer = Writer {
            queue: Arc::clone(&queue),
            connection: Some(connection),
            surroundings,
            observer,
            database,
        };
        (Self { queue }, tokio::spawn(writer.run()))
    }

    /// Puts a request behind all that were put before.
    pub(crate) fn put<I, T>(&self, input: I) -> Reply<T>
    where
        Op: From<Job<I, T>>,
    {
        let (job, reply) = Job::new(input);
        self.queue.push(job.into());
        reply
    }

    /// Whether less than a batch is waiting.
    pub(crate) fn is_ready(&self) -> bool {
        self.queue.is_ready()
    }

    /// Waits until less than a batch is waiting.
    pub(crate) async fn ready(&self) {
        self.queue.ready().await;
    }

    /// Waits until the writer has ended without being asked to.
    pub(crate) fn failed(&self) -> impl Future<Output = ()> + Send + use<> {
        let queue = Arc::clone(&self.queue);
        async move { queue.failed().await }
    }

    /// Lets nothing more in.
    pub(crate) fn close(&self) {
        self.queue.close();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

struct Writer {
    queue: Arc<Queue>,
    /// None after a failure, until the next batch opens another.
    connection: Option<Connection>,
    surroundings: Arc<Surroundings>,
    observer: Arc<dyn Observer>,
    /// Last: its lock goes when all else is gone.
    database: Database,
}

impl Writer {
    async fn run(mut self) {
        while let Some(mut batch) = self.queue.next_batch().await {
            match self.write(&mut batch).await {
                Ok(effects) => {
                    if !effects.is_empty() {
                        self.observer.committed(&effects);
                    }
                    batch.into_iter().for_each(Op::acknowledge);
                }
                Err(error) => {
                    let error = StoreError::database(error);
                    tracing::error!(%error, operations = batch.len(), "a batch was not written");
                    batch.into_iter().for_each(|op| op.refuse(Refused::Failed(error.clone())));
                }
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed cleanly; nothing is lost");
        }
    }

    /// Writes a batch in one transaction. Afterwards it is durable as a whole, or, on error, nothing of it happened.
    async fn write(&mut self, batch: &mut [Op]) -> Result<Vec<Effect>, sqlx::Error> {
        // Taken out, and put back only after success: what state a failure leaves a connection in depends on the
        // failure, so it is replaced.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.database.writer().await?,
        };
        let started = Instant::now();
        let mut effects = Vec::with_capacity(batch.len());
        let mut transaction = connection.begin_with(BEGIN_WRITE).await?;
        write_all(&self.surroundings, &mut transaction, batch, &mut effects).await?;
        transaction.commit().await?;
        self.connection = Some(connection);
        metrics::histogram!("aside_store_batch_operations").record(batch.len() as f64);
        metrics::histogram!("aside_store_batch_seconds").record(started.elapsed());
        Ok(effects)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Reached early only when the runtime is shut down, or by a panic.
        self.queue.abandon();
    }
}

/// Does all of a batch in order: each run of messages or of marks together, everything else by itself. Watermarks that
/// moved are written once, at the end or before an operation that may change memberships; about the index for search, all of them
/// together do no more than one may.
async fn write_all(
    surroundings: &Surroundings,
    transaction: &mut Transaction<'_>,
    batch: &mut [Op],
    effects: &mut Vec<Effect>,
) -> Result<(), sqlx::Error> {
    let now = (surroundings.clock)();
    let mut moved = Moved::default();
    let mut part = Part::default();
    for run in batch.chunk_by_mut(|a, b| a.goes_with(b)) {
        let mut context = Context::new(surroundings, now, transaction, effects, &mut part);
        match run {
            [Op::Single(single)] => {
                context.write_moved(&mut moved).await?;
                write_one(surroundings, now, transaction, single, effects, &mut part).await?;
            }
            [Op::Mark(_), ..] => {
                let mut jobs: Vec<_> = run.iter_mut().filter_map(Op::as_mark).collect();
                context.mark(&mut jobs, &mut moved).await?;
            }
            [Op::SendPrivate(_), ..] => {
                let mut jobs: Vec<_> = run.iter_mut().filter_map(Op::as_send_private).collect();
                context.append(&mut jobs).await?;
            }
            _ => {
                let mut jobs: Vec<_> = run.iter_mut().filter_map(Op::as_append).collect();
                context.append(&mut jobs).await?;
            }
        }
    }
    Context::new(surroundings, now, transaction, effects, &mut part).write_moved(&mut moved).await
}

/// Does one operation, so that it leaves no trace unless it succeeds.
async fn write_one(
    surroundings: &Surroundings,
    now: u64,
    transaction: &mut Transaction<'_>,
    single: &mut Single,
    effects: &mut Vec<Effect>,
    part: &mut Part,
) -> Result<(), sqlx::Error> {
    let before = effects.len();
    let mut savepoint = transaction.begin().await?;
    if single.run(&mut Context::new(surroundings, now, &mut savepoint, effects, part)).await {
        savepoint.commit().await
    } else {
        effects.truncate(before);
        savepoint.rollback().await
    }
}
