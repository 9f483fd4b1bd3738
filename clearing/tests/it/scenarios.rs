//! Text scenarios with known answers: `tests/scenarios/*.txt`.
//!
//! ```text
//! zones 2 | intervals 2 | gap lower|upper|midpoint | floor -500 | cap 4000      EUR/MWh
//! capacity INTERVAL KW_0_TO_1 KW_1_TO_0 | import INTERVAL ZONE KW
//! sell ID [zone Z] steps INTERVAL:PRICExKW[/MAV] …
//! sell ID [zone Z] sco FIXED steps …       scalable: surplus over the steps covers FIXED EUR
//! sell ID [zone Z] mic FIXED VARIABLE steps …
//! buy  ID [zone Z] linear INTERVAL:FROM..TOxKW …
//! sell ID [zone Z] block PRICE INTERVAL:KW … [mar=0.5] [group=1] [parent=3]
//! withdraw ID | clear
//! expect price INTERVAL [zone Z] = 30 | ~30 (within 0.0001) | none
//! expect volume|sold|bought|curtailed|marginal INTERVAL [zone Z] = …
//! expect surplus buy|sell INTERVAL [zone Z] = EUR
//! expect flow INTERVAL = KW | expect accepted ID INTERVAL = KW (~KW: within 1) | expect ratio ID = 0.5
//! refuse sell …                            the line is refused, the book unchanged
//! ```
//! The book is cleared before the first `expect` after a change.

use clearing::{Block, Config, Day, Gap, Kind, MinimumIncome, Order, OrderId, Segment, Side, Step, Variable};
use std::{fs, path::Path};

fn micro(text: &str) -> i64 {
    (text.parse::<f64>().expect("a number") * 1e6).round() as i64
}

fn int(text: &str) -> i64 {
    text.parse().expect("an integer")
}

fn small(text: &str) -> u16 {
    text.parse().expect("a small integer")
}

struct Scenario {
    config: Config,
    day: Option<Day>,
}

impl Scenario {
    fn day(&mut self) -> &mut Day {
        let config = &self.config;
        self.day.get_or_insert_with(|| Day::new(config.clone()))
    }

    fn line(&mut self, line: &str) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "zones" => self.config.zones = words[1].parse().expect("zones"),
            "intervals" => self.config.durations_ms = vec![3_600_000; usize::from(small(words[1]))],
            "floor" => self.config.rules.floor = micro(words[1]),
            "cap" => self.config.rules.cap = micro(words[1]),
            "gap" => {
                self.config.rules.gap = match words[1] {
                    "lower" => Gap::Lower,
                    "upper" => Gap::Upper,
                    _ => Gap::Midpoint,
                }
            }
            "capacity" => {
                let capacity = [int(words[2]), int(words[3])];
                self.day().set_capacity(small(words[1]), capacity);
            }
            "import" => {
                let (interval, zone) = (small(words[1]), words[2].parse().expect("zone"));
                self.day().set_import(interval, zone, int(words[3]));
            }
            "withdraw" => {
                self.day().withdraw(OrderId(words[1].parse().expect("id"))).expect("in the book");
            }
            "clear" => {
                self.day().clear();
            }
            "refuse" => {
                let order = parse_order(&words[1..]);
                let before = self.day().orders().clone();
                assert!(self.day().put(order).is_err(), "not refused");
                assert_eq!(&before, self.day().orders());
            }
            "expect" => self.expect(&words[1..]),
            _ => {
                let order = parse_order(&std::mem::take(&mut words));
                self.day().put(order).expect("a valid order");
            }
        }
    }

    fn expect(&mut self, words: &[&str]) {
        let (question, answer) = words.split_at(words.iter().position(|word| *word == "=").expect("an ="));
        let answer = answer[1];
        let zone = question.iter().position(|word| *word == "zone").map_or(0, |at| int(question[at + 1]) as usize);
        let day = self.day();
        day.clear();
        let at = |interval: &str| day.result(small(interval)).zones[zone].clone();
        let number = |value: i64| match answer.strip_prefix('~') {
            Some(about) => assert!((value - int(about)).abs() <= 1, "{value}"),
            None => assert_eq!(value.to_string(), answer),
        };
        match question[0] {
            "price" if answer.starts_with('~') => {
                let price = at(question[1]).price.expect("a price");
                assert!((price - micro(&answer[1..])).abs() <= 100, "{price}");
            }
            "price" => assert_eq!(at(question[1]).price, (answer != "none").then(|| micro(answer))),
            "volume" => number(at(question[1]).volume()),
            "sold" => number(at(question[1]).sold),
            "bought" => number(at(question[1]).bought),
            "curtailed" => number(at(question[1]).curtailed),
            "flow" => number(day.result(small(question[1])).flow),
            "marginal" => number(at(question[1]).marginal.map_or(-1, |(_, id)| id.0 as i64)),
            "surplus" => {
                let clearing = at(question[2]);
                let value = if question[1] == "buy" { clearing.buy_surplus } else { clearing.sell_surplus };
                assert_eq!(value, i128::from(micro(answer)) * 1_000);
            }
            "accepted" => {
                let (id, interval) = (OrderId(question[1].parse().expect("id")), small(question[2]));
                let order = &day.orders()[&id];
                number(day.accepted(interval, order.zone, order.side).get(&id).copied().unwrap_or(0));
            }
            "ratio" => {
                let id = OrderId(question[1].parse().expect("id"));
                let found = day.components().flat_map(|component| &component.accepted).find(|a| a.order == id);
                assert_eq!(found.map_or(0, |accepted| i64::from(accepted.ratio)), micro(answer));
            }
            other => panic!("unknown expectation {other}"),
        }
    }
}

fn parse_steps(words: &[&str]) -> Vec<Step> {
    let step = |word: &&str| {
        let (interval, rest) = word.split_once(':').expect("interval:");
        let (price, power) = rest.split_once('x').expect("price x power");
        let (power, min_power) = power.split_once('/').unwrap_or((power, "0"));
        Step { interval: small(interval), price: micro(price), power: int(power), min_power: int(min_power) }
    };
    words.iter().map(step).collect()
}

fn parse_order(words: &[&str]) -> Order {
    let side = if words[0] == "sell" { Side::Sell } else { Side::Buy };
    let id = OrderId(words[1].parse().expect("id"));
    let (zone, rest) =
        if words[2] == "zone" { (words[3].parse().expect("zone"), &words[4..]) } else { (0, &words[2..]) };
    let kind = match rest[0] {
        "steps" => Kind::Steps(parse_steps(&rest[1..]), None),
        "sco" => {
            let income = MinimumIncome { fixed: micro(rest[1]), variable: Variable::StepPrices };
            Kind::Steps(parse_steps(&rest[3..]), Some(income))
        }
        "mic" => {
            let income = MinimumIncome { fixed: micro(rest[1]), variable: Variable::PerEnergy(micro(rest[2])) };
            Kind::Steps(parse_steps(&rest[4..]), Some(income))
        }
        "linear" => {
            let segment = |word: &&str| {
                let (interval, rest) = word.split_once(':').expect("interval:");
                let (prices, power) = rest.split_once('x').expect("prices x power");
                let (from, to) = prices.split_once("..").expect("from..to");
                Segment { interval: small(interval), start_price: micro(from), end_price: micro(to), power: int(power) }
            };
            Kind::Linear(rest[1..].iter().map(segment).collect())
        }
        "block" => {
            let mut block = Block {
                periods: Vec::new(),
                price: micro(rest[1]),
                min_acceptance_ratio: 1_000_000,
                exclusive_group: None,
                parent: None,
            };
            for word in &rest[2..] {
                if let Some((name, value)) = word.split_once('=') {
                    match name {
                        "mar" => block.min_acceptance_ratio = micro(value) as u32,
                        "group" => block.exclusive_group = Some(value.parse().expect("group")),
                        "parent" => block.parent = Some(OrderId(value.parse().expect("parent"))),
                        other => panic!("unknown term {other}"),
                    }
                } else {
                    let (interval, power) = word.split_once(':').expect("interval:kw");
                    block.periods.push((small(interval), int(power)));
                }
            }
            Kind::Block(block)
        }
        other => panic!("unknown kind {other}"),
    };
    Order { id, zone, side, kind }
}

#[test]
fn every_scenario_has_its_known_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} scenario files", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let mut scenario = Scenario { config: Config::hours(1), day: None };
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line == "reset" {
                scenario = Scenario { config: Config::hours(1), day: None };
            } else if !line.is_empty() {
                let run = std::panic::AssertUnwindSafe(|| scenario.line(line));
                if std::panic::catch_unwind(run).is_err() {
                    panic!("{}:{}: {line}", file.display(), at + 1);
                }
            }
        }
    }
}
