//! Statements: the parts of a rule, in the order in which the kernel runs them.

use std::any::Any;
use std::fmt;

use super::context::{Context, Fact};
use super::device::Device;
use super::encoder::Encoder;
use super::family::Family;
use super::field::{Field, Needs};
use super::reader::Reader;
use crate::wire::nft::expr::Expr;

/// A match or statement of a rule.
pub(crate) trait Statement: fmt::Debug + Any + Send + Sync + Dynamic {
    /// Appends the statement's expressions.
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String>;

    /// Decodes the statement from `expr`, which uses the operands that `reader` has loaded.
    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self>
    where
        Self: Sized;

    /// Writes the statement as `nft` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Formats the statement as `nft` does if the facts in `context` are known.
    fn fmt_in(&self, _context: Context, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Statement::fmt(self, f)
    }

    /// Refuses a statement that is invalid, or invalid after what precedes it in the rule.
    fn check(&self, _context: Context) -> Result<(), String> {
        Ok(())
    }

    /// Returns the fields that the statement reads: those of a key, then those of the data.
    fn fields(&self) -> [&[Field]; 2] {
        [&[], &[]]
    }

    /// Returns the facts that the statement needs, besides those that its fields need.
    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    /// Returns the fact that holds for packets that pass the statement.
    fn establishes(&self) -> Option<Fact> {
        None
    }

    /// Returns the fact if the statement is a match that netloom adds automatically wherever the
    /// fact is needed.
    fn as_dependency(&self) -> Option<Fact> {
        self.establishes()
    }

    /// Returns whether no packet passes the statement.
    fn is_terminal(&self) -> bool {
        false
    }

    /// Returns the link that the kernel needs by index.
    fn device_mut(&mut self) -> Option<&mut Device> {
        None
    }
}

/// Implements the encoding and decoding of a statement that is one expression without operands,
/// given as `self => EXPRESSION, Expr::NAME(name) => Some(STATEMENT)`.
macro_rules! one_expression {
    ($self:ident => $expression:expr, $pattern:pat => $statement:expr) => {
        fn encode(&$self, encoder: &mut Encoder<'_>) -> Result<(), String> {
            encoder.push($expression);
            Ok(())
        }

        fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
            match expr {
                $pattern => $statement,
                _ => None,
            }
        }
    };
}
pub(crate) use one_expression;

/// Makes trait objects comparable and cloneable. Implemented for every statement.
pub(crate) trait Dynamic {
    fn equals(&self, other: &dyn Statement) -> bool;
    fn boxed(&self) -> Box<dyn Statement>;
}

impl<T: Statement + PartialEq + Clone> Dynamic for T {
    fn equals(&self, other: &dyn Statement) -> bool {
        (other as &dyn Any).downcast_ref::<Self>() == Some(self)
    }

    fn boxed(&self) -> Box<dyn Statement> {
        Box::new(self.clone())
    }
}

impl PartialEq for dyn Statement {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

impl Eq for dyn Statement {}

impl fmt::Display for dyn Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Statement::fmt(self, f)
    }
}

impl Clone for Box<dyn Statement> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

/// Returns the facts that must be established before a statement and are not yet.
pub(crate) fn missing(context: Context, statement: &dyn Statement) -> Vec<Fact> {
    let mut missing: Vec<Fact> = context.missing(statement.needs()).collect();
    let mut add = |field: Field| {
        for fact in context.missing(field.needs()) {
            if !missing.contains(&fact) {
                missing.push(fact);
            }
        }
    };
    for &field in statement.fields().into_iter().flatten() {
        match field {
            Field::Numgen(number) => number.fields().into_iter().for_each(&mut add),
            plain => add(plain),
        }
    }
    missing
}

/// Adds facts to `context`: those that the statement establishes, and those of the matches that
/// netloom adds before it.
pub(crate) fn learn(context: &mut Context, statement: &dyn Statement) {
    let missing = missing(*context, statement);
    missing.into_iter().chain(statement.establishes()).for_each(|fact| context.learn(fact));
}

/// Appends a statement. Removes the matches right before it that are added automatically anyway,
/// because listings hide them.
pub(crate) fn push(
    family: Family,
    statements: &mut Vec<Box<dyn Statement>>,
    statement: Box<dyn Statement>,
) {
    if statements.last().is_none_or(|last| last.as_dependency().is_none()) {
        return statements.push(statement);
    }
    let first = statements.len().saturating_sub(2);
    let mut context = Context::new(family);
    statements[..first].iter().for_each(|one| learn(&mut context, &**one));
    for at in first..statements.len() {
        let facts = statements[at..].iter().map(|one| one.as_dependency());
        if facts.eq(missing(context, &*statement).into_iter().map(Some)) {
            statements.truncate(at);
            break;
        }
        learn(&mut context, &*statements[at]);
    }
    statements.push(statement);
}

/// Refuses a statement that is invalid at this point of the rule.
pub(crate) fn check(context: Context, statement: &dyn Statement) -> Result<(), String> {
    let facts = missing(context, statement).into_iter().chain(statement.establishes());
    facts.into_iter().try_for_each(|fact| context.check(fact))?;
    let [key, data] = statement.fields();
    for field in key.iter().chain(data) {
        if let Field::Numgen(number) = field {
            number.check()?;
        }
        for read in field.read_fields() {
            context.check_field(read)?;
            match read.needs() {
                Needs::Ports if context.has(read, key) => {}
                Needs::Ports => context.check_ports()?,
                Needs::OneWithPorts => context.check_one_with_ports()?,
                _ => {}
            }
        }
    }
    statement.check(context)
}
