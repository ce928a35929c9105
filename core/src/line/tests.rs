mod against_model;
mod guarantees;
mod model;
mod saved;
