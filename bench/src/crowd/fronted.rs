//! What came through the edge to the server, by the server's own count.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    story::{Kind, Story},
    verdict::Check,
};
use crate::{
    client::{Ask, Client},
    markdown::Table,
};

/// Most requests at the server for a thousand polls at the edge by people who poll as they are told.
const PER_THOUSAND: f64 = 30.0;
/// What an edge asks for itself, and polls that it cannot answer from what it holds.
const FOR_POLLS: [&str; 4] =
    ["/api/v1/queue/board", "/api/v1/edge/rooms", "/api/v1/edge/reports", "/api/v1/queue/status"];

/// Requests that the server has answered, by route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Passed(BTreeMap<String, u64>);

impl Passed {
    /// Asks the server at `url`.
    pub async fn count(url: &str) -> Result<Self> {
        let answer = Client::new(url, 1)?.send(Ask::get("/metrics")).await?;
        Ok(Self::read(&answer.text()))
    }

    fn read(metrics: &str) -> Self {
        let mut routes = BTreeMap::new();
        for line in metrics.lines().filter_map(|line| line.strip_prefix("http_server_requests_total{")) {
            let route = line.split("route=\"").nth(1).and_then(|rest| rest.split('"').next());
            let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
            if let (Some(route), Some(count)) = (route, count) {
                *routes.entry(route.to_owned()).or_default() += count;
            }
        }
        Self(routes)
    }

    /// The promise that polls at the edge are free.
    pub fn check(&self, stories: &[Story]) -> Check {
        let polls: u64 = stories.iter().filter_map(|story| story.requests.get(&Kind::Status)).sum();
        let passed: u64 = FOR_POLLS.iter().filter_map(|route| self.0.get(*route)).sum();
        let per_thousand = passed as f64 * 1e3 / polls.max(1) as f64;
        Check {
            promise: "polls at the edge are free",
            kept: (polls > 0).then_some(per_thousand <= PER_THOUSAND),
            detail: format!(
                "{passed} requests at the server for {polls} polls at the edge: {per_thousand:.1} for 1,000, at most {PER_THOUSAND}"
            ),
        }
    }

    /// All of them.
    pub fn table(&self) -> Table {
        let mut table = Table::new(["route", "requests"]);
        let public = |route: &&String| !route.contains("/admin/") && route.starts_with("/api/");
        for route in self.0.keys().filter(public) {
            table.row([route.clone(), self.0[route].to_string()]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_summed_by_route() {
        let text = "# TYPE http_server_requests_total counter\n\
            http_server_requests_total{method=\"GET\",route=\"/api/v1/queue/board\",status=\"200\"} 7\n\
            http_server_requests_total{method=\"GET\",route=\"/api/v1/queue/board\",status=\"304\"} 5\n\
            http_server_requests_total{method=\"GET\",route=\"/readyz\",status=\"200\"} 2\n";
        let passed = Passed::read(text);
        assert_eq!((passed.0["/api/v1/queue/board"], passed.0["/readyz"]), (12, 2));
        let mut story = Story::default();
        story.requests.insert(Kind::Status, 400);
        assert_eq!(passed.check(&[story.clone()]).kept, Some(true));
        story.requests.insert(Kind::Status, 399);
        assert_eq!(passed.check(&[story]).kept, Some(false));
    }
}
