//! The dispatcher driven by ticks: a manual clock, scripted receivers and a real store that can be
//! made to fail. Nothing here sleeps: a day of retries passes as fast as the store commits.

mod care;
mod endings;
mod fairness;
mod faulty_store;
mod leases;
mod outages;
mod receivers;
mod schedule;
mod simulation;
mod stage;
