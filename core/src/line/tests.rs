mod against_model;
mod guarantees;
mod model;
mod outages;
mod saved;
