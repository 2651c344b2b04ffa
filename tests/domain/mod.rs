//! The nouns and their rules, from outside: properties against naive oracles, and tables of cases.

mod api_key;
mod decision;
mod policy;
mod policy_document;
mod rule_five;
mod scope;
mod what_the_caller_sees;
