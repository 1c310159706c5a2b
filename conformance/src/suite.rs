//! Cases, and how they are run.

use crate::options::{Options, Profile};
use crate::site::Site;
use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;

/// One case. It panics if the server disappoints it.
pub struct Case {
    pub(crate) profile: Profile,
    name: &'static str,
    body: Box<dyn Fn(&Site) + Send + Sync>,
}

impl Case {
    pub(crate) fn new(profile: Profile, name: &'static str, body: fn(&Site)) -> Self {
        Self {
            profile,
            name,
            body: Box::new(body),
        }
    }

    /// Runs it here; it panics if it is disappointed.
    pub(crate) fn run(&self, site: &Site) {
        (self.body)(site);
    }

    /// A case that looks after its server itself.
    pub fn alone(name: &'static str, body: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            profile: Profile::Checklist,
            name,
            body: Box::new(move |_| body()),
        }
    }
}

/// Lists the cases of a module: a function that is not listed is not used, and that is an error.
macro_rules! cases {
    ($profile:ident: $($name:ident),* $(,)?) => {
        pub(crate) fn cases() -> Vec<crate::suite::Case> {
            vec![$(crate::suite::Case::new(crate::options::Profile::$profile, stringify!($name), $name)),*]
        }
    };
}
pub(crate) use cases;

/// Ends a case that has no way to show what it should.
struct Skipped(String);

/// Ends the case, neither passed nor failed.
pub(crate) fn skip(reason: impl Into<String>) -> ! {
    panic_any(Skipped(reason.into()))
}

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the suite, and `more` with it.
pub fn run(options: &Options, more: Vec<Case>) -> Result<Conclusion, String> {
    let site = Arc::new(Site::new(options)?);
    let every = site.every.clone();
    // What a panic says is the result of its case and is printed there.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        PLACE.with(|known| *known.borrow_mut() = place);
    }));
    let arguments = Arguments {
        filter: options.only.clone(),
        test_threads: Some(if options.alone { 1 } else { options.threads.max(1) }),
        list: options.list,
        ..Arguments::default()
    };
    let mut cases = crate::cases::all();
    cases.extend(crate::clients::all());
    cases.extend(more);
    let trials = cases
        .into_iter()
        .filter(|case| options.profile.is_none_or(|profile| profile == case.profile))
        .map(|case| {
            let site = site.clone();
            let (name, group) = (case.name, case.profile.name());
            Trial::ignorable_test(name, move || judge(|| case.run(&site))).with_kind(group)
        })
        .collect();
    let mut conclusion = libtest_mimic::run(&arguments, trials);
    if options.list || options.profile.is_some() || options.only.is_some() {
        return Ok(conclusion);
    }
    let trials = every
        .verdicts()
        .into_iter()
        .map(|(rule, broken)| Trial::test(rule, || broken.map_or(Ok(()), |exchange| Err(Failed::from(exchange)))))
        .collect();
    let after = libtest_mimic::run(&arguments, trials);
    conclusion.num_passed += after.num_passed;
    conclusion.num_failed += after.num_failed;
    Ok(conclusion)
}

fn judge(body: impl FnOnce()) -> Result<Completion, Failed> {
    let Err(panic) = catch_unwind(AssertUnwindSafe(body)) else {
        return Ok(Completion::Completed);
    };
    match panic.downcast::<Skipped>() {
        Ok(skipped) => Ok(Completion::ignored_with(skipped.0)),
        Err(panic) => {
            let place = PLACE.with(|known| known.borrow().clone());
            Err(format!("{place}: {}", words(&*panic)).into())
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(words), _) => words,
        (_, Some(words)) => words,
        _ => "it panicked without words",
    }
}
