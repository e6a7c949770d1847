//! One reader of a room that is talked in does not read for a while: what the others have of it, and how it goes on.

use std::time::{Duration, Instant};

use super::cpu::Placement;
use super::load::ignore;
use super::measures::{SENDERS, Scene, number_of, percentiles};
use super::{Outcome, Setup};

/// What is said while it does not read, in bytes: more than the server and the system hold for one connection, and less
/// than the journal does.
const SAID: usize = 24 * 1_024 * 1_024;
/// Bytes of each envelope.
pub(crate) const ENVELOPE: usize = 2_048;
/// The others' p99 is to be within this of what it was before.
pub(crate) const AIM: f64 = 0.1;
/// How long everything may take to have come, at the end.
const END: Duration = Duration::from_secs(60);

/// How it went.
pub(crate) struct Paused {
    pub(crate) members: usize,
    pub(crate) rate: u32,
    pub(crate) pause: Duration,
    /// From a Say's sending to another member's having opened it, p50 and p99: before, during the pause, and after.
    pub(crate) others: [[Duration; 2]; 3],
    /// How many events it had missed when it read again, and how long it took until it was as far as the others.
    pub(crate) missed: u64,
    pub(crate) caught_up: Duration,
}

/// Talks evenly for `around`, for `pause` while one reader does not read, and for `around` again.
pub(crate) fn measure(setup: &Setup, members: usize, around: Duration, pause: Duration) -> Outcome<Paused> {
    let mut scene = Scene::new(setup, Placement::Pinned, members, &[])?;
    let crowd = &mut scene.crowd;
    // Everybody's coming is over.
    crowd.listen(setup.warm_up)?;
    let (reader, other) = (members - 1, members - 2);
    let rate = u32::try_from(SAID / ENVELOPE)? / u32::try_from(pause.as_secs())?;
    let of = |time: Duration| Ok::<_, std::num::TryFromIntError>(usize::try_from(time.as_secs())? * rate as usize);
    let (stops, goes_on) = (of(around)?, of(around + pause)?);
    let mut sent: Vec<Instant> = Vec::with_capacity(of(around * 2 + pause)?);
    let mut took = [const { Vec::new() }; 3];
    let (mut missed, mut back, mut caught_up) = (0, None, None);
    let start = Instant::now();
    for number in 0..sent.capacity() {
        let due = start + Duration::from_secs(1) * u32::try_from(number)? / rate;
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            crowd.turn(left, &mut |place, envelope| {
                let said = number_of(envelope);
                if place != reader {
                    took[usize::from(said >= stops) + usize::from(said >= goes_on)].push(sent[said].elapsed());
                }
            })?;
            let is_there = crowd.members[reader].tally.cursor >= crowd.members[other].tally.cursor;
            caught_up = caught_up.or(back.filter(|_| is_there).map(|back: Instant| back.elapsed()));
        }
        if number == stops {
            crowd.pause(reader)?;
        } else if number == goes_on {
            missed = crowd.members[other].tally.cursor - crowd.members[reader].tally.cursor;
            crowd.listen_to(reader)?;
            back = Some(Instant::now());
        }
        let sender = &mut crowd.members[number % SENDERS];
        sender.say(format!("{number:0ENVELOPE$}").as_bytes());
        sent.push(Instant::now());
        sender.flush()?;
    }
    // Everything has come to it, in order and once, or this fails.
    crowd.until_delivered_within(END, &mut ignore, 0..members)?;
    scene.end()?;
    let [before, during, after] = took.map(|took| percentiles(took, [500, 990]));
    let caught_up = caught_up.ok_or("the reader was not as far as the others in time")?;
    Ok(Paused { members, rate, pause, others: [before?, during?, after?], missed, caught_up })
}
