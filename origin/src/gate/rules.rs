//! The gate that core makes of the rooms, made anew when one of them has changed.

use crate::room::Rooms;
use anteroom_core::gate::Gate;
use anteroom_core::settings::Settings;
use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// See the module's comment.
#[derive(Default)]
pub(super) struct Rules(ArcSwapOption<Made>);

struct Made {
    gate: Arc<Gate>,
    /// What it was made of. Settings are put in place whole, so others are others by their address.
    of: Vec<Arc<Settings>>,
}

impl Rules {
    /// The gate of the rooms as they are. `None` while it is not known which rooms there are: then nothing may pass.
    pub fn of(&self, rooms: &Rooms) -> Option<Arc<Gate>> {
        if !rooms.have_been_read() {
            return None;
        }
        let all = rooms.all();
        let settings: Vec<Arc<Settings>> = all.iter().map(|room| room.view().settings.clone()).collect();
        if let Some(made) = &*self.0.load()
            && made.of.len() == settings.len()
            && made.of.iter().zip(&settings).all(|(before, now)| Arc::ptr_eq(before, now))
            && all.iter().all(|room| made.gate.room(room.event().as_str()).is_some())
        {
            return Some(made.gate.clone());
        }
        let pairs = all.iter().zip(&settings).map(|(room, settings)| (room.event().clone(), settings.clone()));
        let gate = Arc::new(Gate::new(pairs));
        self.0.store(Some(Arc::new(Made { gate: gate.clone(), of: settings })));
        Some(gate)
    }
}
