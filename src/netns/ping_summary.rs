//! The result of a series of pings.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The result of a series of echo requests. Its text is that of ping(8).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PingSummary {
    /// The pinged address.
    pub target: IpAddr,
    /// The number of requests.
    pub transmitted: u32,
    /// The number of answers, without duplicates.
    pub received: u32,
    /// The number of additional answers to a request that was answered before.
    pub duplicates: u32,
    /// The number of requests that the network answered with an error: unreachable, refused.
    pub errors: u32,
    /// The time of the whole series.
    pub time: Duration,
    /// The round-trip times, in the order of arrival.
    pub times: Vec<Duration>,
}

impl PingSummary {
    pub(super) fn new(target: IpAddr) -> Self {
        Self {
            target,
            transmitted: 0,
            received: 0,
            duplicates: 0,
            errors: 0,
            time: Duration::ZERO,
            times: Vec::new(),
        }
    }

    /// Returns the share of the requests that were not answered, from 0.0 to 1.0.
    pub fn loss(&self) -> f64 {
        let lost = self.transmitted.saturating_sub(self.received);
        if self.transmitted == 0 { 0.0 } else { f64::from(lost) / f64::from(self.transmitted) }
    }

    /// Returns the shortest round-trip time.
    pub fn min(&self) -> Option<Duration> {
        self.times.iter().min().copied()
    }

    /// Returns the longest round-trip time.
    pub fn max(&self) -> Option<Duration> {
        self.times.iter().max().copied()
    }

    /// Returns the mean round-trip time.
    pub fn average(&self) -> Option<Duration> {
        let count = u32::try_from(self.times.len()).ok().filter(|&count| count > 0)?;
        Some(self.times.iter().sum::<Duration>() / count)
    }

    /// Returns the standard deviation of the round-trip times (`mdev`).
    pub fn deviation(&self) -> Option<Duration> {
        let average = self.average()?.as_secs_f64();
        let squares = self.times.iter().map(|time| (time.as_secs_f64() - average).powi(2));
        let count = u32::try_from(self.times.len()).ok()?;
        Some(Duration::from_secs_f64((squares.sum::<f64>() / f64::from(count)).sqrt()))
    }
}

impl fmt::Display for PingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- {} ping statistics ---", self.target)?;
        write!(f, "{} packets transmitted, {} received", self.transmitted, self.received)?;
        for (count, what) in [(self.duplicates, "duplicates"), (self.errors, "errors")] {
            if count > 0 {
                write!(f, ", +{count} {what}")?;
            }
        }
        let loss = format!("{:.4}", self.loss() * 100.0);
        let loss = loss.trim_end_matches('0').trim_end_matches('.');
        write!(f, ", {loss}% packet loss, time {}ms", self.time.as_millis())?;
        if let (Some(min), Some(average), Some(max), Some(deviation)) =
            (self.min(), self.average(), self.max(), self.deviation())
        {
            let [min, average, max, deviation] =
                [min, average, max, deviation].map(|time| time.as_secs_f64() * 1000.0);
            write!(f, "\nrtt min/avg/max/mdev = {min:.3}/{average:.3}/{max:.3}/{deviation:.3} ms")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_that_of_ping() {
        let mut summary = PingSummary::new(IpAddr::from([10, 0, 0, 3]));
        summary.transmitted = 3;
        summary.errors = 1;
        summary.time = Duration::from_millis(2031);
        assert_eq!(
            summary.to_string(),
            "--- 10.0.0.3 ping statistics ---\n\
             3 packets transmitted, 0 received, +1 errors, 100% packet loss, time 2031ms"
        );
        summary.errors = 0;
        summary.received = 2;
        summary.times = vec![Duration::from_micros(20), Duration::from_micros(40)];
        assert_eq!(
            summary.to_string(),
            "--- 10.0.0.3 ping statistics ---\n\
             3 packets transmitted, 2 received, 33.3333% packet loss, time 2031ms\n\
             rtt min/avg/max/mdev = 0.020/0.030/0.040/0.010 ms"
        );
    }
}
