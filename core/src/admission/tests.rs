mod decisions;
mod guarantees;
mod random_rooms;
mod simulation;
