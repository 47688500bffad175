//! Owns the worker role: the trait, tasks, failures, and the table of methods that finds a task's function.
//! Leaves progress and cancellation to `progress`.

use crate::bindings::description::exports::trackside::plugin::description as described;
use crate::bindings::worker::exports::trackside::plugin::worker as wit;
use crate::{Error, Plugin};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

/// Does the work.
///
/// ```
/// use trackside_sdk::*;
/// struct Greeter;
/// impl Plugin for Greeter {
///     fn describe() -> Description {
///         Description::new("greeter").summary("Greets.")
///     }
/// }
/// impl Worker for Greeter {
///     fn methods() -> Methods {
///         Methods::new().with(Method::new("greet/hello", "Greets somebody.", hello))
///     }
/// }
/// fn hello(name: String, _task: &Task) -> Result<String, Failure> {
///     if name.is_empty() {
///         return Err(Failure::permanent("nobody to greet").code("invalid-parameters"));
///     }
///     Ok(format!("Hello, {name}!"))
/// }
/// ```
pub trait Worker: Plugin {
    /// The kinds of task that it can do. Asked once an instance, and once at load for the description.
    fn methods() -> Methods;
}

/// A task to be done: one attempt at it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Which method, `namespace/name`.
    pub method: String,
    /// The parameters as JSON text, references resolved.
    pub parameters: String,
    /// The workflow that the task belongs to.
    pub workflow_id: String,
    /// The task's name in its workflow.
    pub task_id: String,
    /// 1 for the first try.
    pub attempt: u32,
    /// The same for every delivery of one attempt: what to hand to systems that must not act twice.
    pub idempotency_key: String,
    /// Groups everything that one request set in motion.
    pub correlation_id: String,
    /// Milliseconds that this attempt has.
    pub timeout_ms: u64,
    /// `traceparent`, `request_id`, …
    pub metadata: Vec<(String, String)>,
}

impl Task {
    /// A first attempt at this method with these parameters: for unit tests.
    #[must_use]
    pub fn new(method: &str, parameters: impl Serialize) -> Self {
        Task {
            method: method.into(),
            parameters: serde_json::to_string(&parameters).unwrap_or_else(|_| "null".into()),
            workflow_id: "workflow".into(),
            task_id: "task".into(),
            attempt: 1,
            idempotency_key: "workflow/task/1".into(),
            correlation_id: "correlation".into(),
            timeout_ms: 30_000,
            metadata: Vec::new(),
        }
    }

    /// The parameters as `T`, which may borrow from them.
    ///
    /// # Errors
    /// A permanent failure with the code `invalid-parameters` when they do not have the shape of `T`.
    pub fn parameters<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_str(&self.parameters)
            .map_err(|error| Failure::permanent(format!("parameters of {}: {error}", self.method)).code("invalid-parameters"))
    }

    pub(crate) fn from_wit(task: wit::Task) -> Self {
        Task {
            method: task.method,
            parameters: task.parameters,
            workflow_id: task.workflow_id,
            task_id: task.task_id,
            attempt: task.attempt,
            idempotency_key: task.idempotency_key,
            correlation_id: task.correlation_id,
            timeout_ms: task.timeout_ms,
            metadata: task.metadata,
        }
    }
}

/// Why an attempt failed. Any `std::error::Error` becomes a permanent one with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(FailureParts);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FailureParts {
    message: String,
    code: Option<String>,
    retryable: bool,
    retry_after_ms: Option<u64>,
    details: Option<String>,
}

impl Failure {
    /// Trying again would not help.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Failure(FailureParts { message: message.into(), code: None, retryable: false, retry_after_ms: None, details: None })
    }

    /// Trying again may help.
    #[must_use]
    pub fn retryable(message: impl Into<String>) -> Self {
        let mut failure = Failure::permanent(message);
        failure.0.retryable = true;
        failure
    }

    /// With a code for retry policies and breakers to tell failures apart, such as `rate-limited`.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Not to be tried again before this many milliseconds have passed.
    #[must_use]
    pub fn retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.0.retry_after_ms = Some(retry_after_ms);
        self
    }

    /// With facts for machines. A value that does not serialise is left out.
    #[must_use]
    pub fn details(mut self, details: impl Serialize) -> Self {
        self.0.details = serde_json::to_string(&details).ok();
        self
    }

    /// What is said to people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What is said to policies.
    #[must_use]
    pub fn code_text(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    pub(crate) fn into_wit(self) -> wit::Failure {
        let FailureParts { message, code, retryable, retry_after_ms, details } = self.0;
        wit::Failure { message, code, retryable, retry_after_ms, details }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::permanent(crate::error::with_causes(&error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::permanent(String::from(error))
    }
}

/// What a method's function is behind its table entry: JSON text in the task, JSON text out.
type Run = Box<dyn Fn(&Task) -> Result<String, Failure> + Send + Sync>;

/// One kind of task: its name, what it is for, and the function that does it.
pub struct Method {
    name: &'static str,
    summary: &'static str,
    parameters: Option<String>,
    returns: Option<String>,
    run: Run,
}

impl Method {
    /// A method `namespace/name` done by a function of its parameters. Parameters of the wrong shape are a permanent failure
    /// with the code `invalid-parameters`; the function is not called.
    #[must_use]
    pub fn new<P, R, F>(name: &'static str, summary: &'static str, function: F) -> Self
    where
        P: DeserializeOwned,
        R: Serialize,
        F: Fn(P, &Task) -> Result<R, Failure> + Send + Sync + 'static,
    {
        Method::raw(name, summary, move |task| {
            let result = function(task.parameters()?, task)?;
            serde_json::to_string(&result)
                .map_err(|error| Failure::permanent(format!("result of {}: {error}", task.method)).code("invalid-result"))
        })
    }

    /// A method whose function answers with JSON text of its own making. The host refuses text that is not JSON.
    #[must_use]
    pub fn raw<F>(name: &'static str, summary: &'static str, function: F) -> Self
    where
        F: Fn(&Task) -> Result<String, Failure> + Send + Sync + 'static,
    {
        Method { name, summary, parameters: None, returns: None, run: Box::new(function) }
    }

    /// A JSON Schema that the parameters satisfy.
    #[must_use]
    pub fn parameters(mut self, schema: impl Serialize) -> Self {
        self.parameters = serde_json::to_string(&schema).ok();
        self
    }

    /// A JSON Schema that the result satisfies.
    #[must_use]
    pub fn returns(mut self, schema: impl Serialize) -> Self {
        self.returns = serde_json::to_string(&schema).ok();
        self
    }

    pub(crate) fn about(&self) -> described::Method {
        described::Method {
            name: self.name.into(),
            summary: self.summary.into(),
            parameters: self.parameters.clone(),
            returns: self.returns.clone(),
        }
    }
}

/// The methods of a worker.
#[derive(Default)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// No method yet.
    #[must_use]
    pub fn new() -> Self {
        Methods::default()
    }

    /// With this one beside the others.
    #[must_use]
    pub fn with(mut self, method: Method) -> Self {
        self.0.push(method);
        self
    }

    /// Does the task by the function of its method, and gives the result as JSON text.
    ///
    /// # Errors
    /// The function's failure, or a permanent one with the code `unknown-method`.
    pub fn run(&self, task: &Task) -> Result<String, Failure> {
        match self.0.iter().find(|method| method.name == task.method) {
            Some(method) => (method.run)(task),
            None => {
                let known: Vec<_> = self.0.iter().map(|method| method.name).collect();
                let message = format!("no method {}; there are {}", task.method, known.join(", "));
                Err(Failure::permanent(message).code("unknown-method"))
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Method> {
        self.0.iter()
    }
}
