use chrono::{Datelike as _, Timelike as _};
use chrono_tz::{America::New_York, Australia::Lord_Howe, Europe::Berlin, Pacific::Apia, UTC};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn schedule(text: &str, zone: Tz) -> Schedule {
    Schedule::new(Expression::parse(text).unwrap(), zone)
}

/// The next times behind one.
fn next(text: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(text, zone);
    let mut time = at(after);
    (0..count)
        .map(|_| {
            time = schedule.next(time).unwrap();
            time.format("%Y-%m-%dT%H:%MZ").to_string()
        })
        .collect()
}

#[test]
fn a_skipped_time_comes_behind_the_gap_and_a_doubled_one_comes_once() {
    // 28 March 2027, 02:00 -> 03:00, and 31 October, 03:00 -> 02:00.
    let spring = next("30 2 * * *", Berlin, "2027-03-27T00:00:00Z", 3);
    assert_eq!(spring, ["2027-03-27T01:30Z", "2027-03-28T01:00Z", "2027-03-29T00:30Z"]);
    let autumn = next("30 2 * * *", Berlin, "2027-10-30T00:00:00Z", 3);
    assert_eq!(autumn, ["2027-10-30T00:30Z", "2027-10-31T00:30Z", "2027-11-01T01:30Z"]);
    // What lies in the gap and what comes right behind it is one.
    let often = next("*/30 * * * *", Berlin, "2027-03-28T00:30:00Z", 3);
    assert_eq!(often, ["2027-03-28T01:00Z", "2027-03-28T01:30Z", "2027-03-28T02:00Z"]);
    // The second pass of the hour shows nothing new.
    let often = next("*/30 * * * *", Berlin, "2027-10-31T00:00:00Z", 3);
    assert_eq!(often, ["2027-10-31T00:30Z", "2027-10-31T02:00Z", "2027-10-31T02:30Z"]);
    // Half an hour, and a whole day.
    let half = next("10 2 * * *", Lord_Howe, "2027-10-01T16:00:00Z", 2);
    assert_eq!(half, ["2027-10-02T15:30Z", "2027-10-03T15:10Z"]);
    let day = next("0 12 30 12 *", Apia, "2011-01-01T00:00:00Z", 1);
    assert_eq!(day, ["2011-12-30T10:00Z"], "the day that Samoa left out");
}

#[test]
fn days_are_as_posix_has_them() {
    // 1 January 2027 is a Friday.
    assert_eq!(
        next("0 0 13 * FRI", UTC, "2027-01-01T00:00:00Z", 3),
        ["2027-01-08T00:00Z", "2027-01-13T00:00Z", "2027-01-15T00:00Z"],
        "either is enough"
    );
    assert_eq!(
        next("0 0 */2 * 1", UTC, "2027-01-01T00:00:00Z", 2),
        ["2027-01-11T00:00Z", "2027-01-25T00:00Z"]
    );
    for sunday in ["0", "7", "SUN", "sun"] {
        assert_eq!(next(&format!("0 3 * * {sunday}"), UTC, "2027-01-01T00:00:00Z", 1), ["2027-01-03T03:00Z"]);
    }
    assert_eq!(
        next("0 0 * * 5-7", UTC, "2027-01-01T00:00:00Z", 3),
        ["2027-01-02T00:00Z", "2027-01-03T00:00Z", "2027-01-08T00:00Z"]
    );
    assert_eq!(next("0 0 * * FRI-SUN", UTC, "2027-01-01T00:00:00Z", 1), ["2027-01-02T00:00Z"]);
    assert_eq!(next("0 0 29 2 *", UTC, "2027-01-01T00:00:00Z", 1), ["2028-02-29T00:00Z"]);
    assert_eq!(next("0 0 1 JAN *", New_York, "2027-01-02T00:00:00Z", 1), ["2028-01-01T05:00Z"]);
}

#[test]
fn what_is_no_expression_is_refused() {
    for bad in [
        "",
        "* * * *",
        "0 * * * * *",
        "@daily",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * MON-",
        "* * * * SAT-MON",
        "*/0 * * * *",
        "a * * * *",
        "* * ? * *",
        "* * L * *",
        "0 0 30 2 *",
        "* * * * 1/0",
        "-1 * * * *",
        "5-1 * * * *",
    ] {
        assert!(Expression::parse(bad).is_err(), "{bad}");
    }
    let error = Expression::parse("0 3 * *").unwrap_err().to_string();
    assert!(error.contains("4 fields") && error.contains("five fields"), "{error}");
    assert_eq!(zone("Mars/Olympus"), Err(ScheduleError::Zone("Mars/Olympus".into())));
    for bad in ["", "2-5", "02:00", "02:00-02:00", "25:00-02:00", "02:00-05:00-06:00"] {
        assert!(Window::parse(bad, UTC).is_err(), "{bad}");
    }
}

#[test]
fn a_window_opens_in_local_time_and_may_go_over_midnight() {
    let night = Window::parse("22:00-04:00", Berlin).unwrap();
    assert!(night.holds(at("2027-01-01T21:00:00Z")) && !night.holds(at("2027-01-01T20:59:59Z")));
    assert!(night.holds(at("2027-01-01T02:59:59Z")) && !night.holds(at("2027-01-01T03:00:00Z")));
    assert_eq!(night.opens(at("2027-01-01T12:00:00Z")), at("2027-01-01T21:00:00Z"));
    assert_eq!(night.opens(at("2027-07-01T12:00:00Z")), at("2027-07-01T20:00:00Z"), "summer time");
    assert_eq!(night.opens(at("2027-01-01T23:00:00Z")), at("2027-01-01T23:00:00Z"), "it is open");
    let early = Window::parse("02:30-05:00", Berlin).unwrap();
    assert_eq!(
        early.opens(at("2027-03-27T12:00:00Z")),
        at("2027-03-28T01:00:00Z"),
        "its beginning is skipped"
    );
    assert_eq!(early.opens(at("2027-01-01T05:00:00Z")), at("2027-01-02T01:30:00Z"));
}

#[test]
fn jitter_is_the_credential_s_own_and_spreads() {
    let id = |number| CredentialId(uuid::Uuid::from_u128(number));
    let most = TimeDelta::minutes(30);
    assert_eq!(jitter(id(1), most), jitter(id(1), most));
    assert_eq!(jitter(id(1), TimeDelta::zero()), TimeDelta::zero());
    let mut halves = [0; 2];
    for number in 0..2_000 {
        let delay = jitter(id(number), most);
        assert!(delay >= TimeDelta::zero() && delay < most);
        halves[usize::from(delay >= most / 2)] += 1;
    }
    assert!(halves[0] > 850 && halves[1] > 850, "{halves:?}");
}

/// An independent reading of simple expressions: one number or `*` per field.
fn fits(fields: &[Option<u32>; 5], time: NaiveDateTime) -> bool {
    let is = |field: Option<u32>, value: u32| field.is_none_or(|field| field == value);
    let days = match (fields[2], fields[4]) {
        (Some(day), Some(weekday)) => {
            time.day() == day || time.weekday().num_days_from_sunday() == weekday % 7
        }
        (day, weekday) => {
            is(day, time.day()) && is(weekday.map(|day| day % 7), time.weekday().num_days_from_sunday())
        }
    };
    is(fields[0], time.minute()) && is(fields[1], time.hour()) && is(fields[3], time.month()) && days
}

fn field(range: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = Option<u32>> {
    prop_oneof![Just(None), range.prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Minute by minute over three days around a change of the clocks: each local time that fits comes once, none other, none early, none lost.
    #[test]
    fn each_local_time_comes_exactly_once(
        fields in (field(0..=59), field(0..=4), field(1..=28), Just(None), field(0..=7)).prop_map(|(a, b, c, d, e)| [a, b, c, d, e]),
        place in prop::sample::select(vec![
            (Berlin, "2027-03-27T00:00:00Z"), (Berlin, "2027-10-30T00:00:00Z"), (New_York, "2027-03-13T00:00:00Z"),
            (New_York, "2027-11-06T00:00:00Z"), (Lord_Howe, "2027-10-02T00:00:00Z"), (Lord_Howe, "2027-04-03T00:00:00Z"), (UTC, "2027-02-27T00:00:00Z"),
        ]),
    ) {
        let (zone, from) = place;
        let text: Vec<_> = fields.iter().map(|field| field.map_or("*".to_owned(), |n| n.to_string())).collect();
        let schedule = schedule(&text.join(" "), zone);
        let from = at(from);
        let until = from + TimeDelta::days(3);
        // What the clocks show, and what they skip, each at the first moment at which it has been reached.
        let mut expected = Vec::new();
        let mut reached = local(zone, from);
        let mut time = from;
        while time < until {
            time += TimeDelta::minutes(1);
            let shown = local(zone, time);
            let mut due = false;
            while reached < shown {
                reached += TimeDelta::minutes(1);
                due |= fits(&fields, reached);
            }
            if due {
                expected.push(time);
            }
        }
        let mut found = Vec::new();
        let mut last = from;
        while let Some(next) = schedule.next(last).filter(|next| *next <= until) {
            prop_assert!(next > last);
            found.push(next);
            last = next;
        }
        prop_assert_eq!(&found, &expected);
        // Backwards too; of very many a few.
        for pair in expected.windows(2).step_by(1 + expected.len() / 50) {
            prop_assert_eq!(schedule.last(pair[1] - TimeDelta::seconds(1)), Some(pair[0]));
            prop_assert_eq!(schedule.last(pair[1]), Some(pair[1]));
        }
    }
}
