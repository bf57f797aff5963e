//! Which packages, in which versions, make a set in which every dependency is met and nobody is in conflict.
//!
//! What was asked for is taken first. Then the dependency with the fewest possible answers is met, again and again, so
//! that what is certain comes before what is a choice, and a choice sees what is there already: of alternatives, one
//! that is already met, else the first that can be had in the latest version. Where a later dependency cannot be
//! met, the last choice is taken back and its next answer tried. The order is fixed by the input, so is the result.
//!
//! This finds what apt finds where apt finds something without `Recommends`, and sometimes more: apt looks at one
//! version of each package only.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::package::Package;
use super::relation::{Alternatives, Relation};
use super::universe::{Universe, UniverseError};

/// So many choices are taken back before it is given up.
const PATIENCE: usize = 500;

/// Why no set was found.
#[derive(Debug)]
pub(super) enum Unsolvable {
    /// Nothing answers a dependency.
    Unmet {
        /// From what was asked for to who needs it.
        chain: Vec<String>,
        wanted: String,
        /// Why each alternative will not do.
        reasons: Vec<String>,
    },
    /// Two packages, both needed, exclude each other.
    Conflict {
        left: Vec<String>,
        right: Vec<String>,
        /// What one says of the other, e.g. `a=1 conflicts with b (<< 2)`.
        statement: String,
    },
    Universe(UniverseError),
}

impl From<UniverseError> for Unsolvable {
    fn from(error: UniverseError) -> Self {
        Self::Universe(error)
    }
}

/// Finds a set with an answer to each of `wanted` on top of `installed`, which is taken as it is, and returns what is
/// to be added.
pub(super) fn solve(
    universe: &Universe<'_>,
    installed: Vec<Rc<Package>>,
    wanted: Vec<Relation>,
) -> Result<Vec<Rc<Package>>, Unsolvable> {
    let mut solver = Solver::new(universe);
    for package in installed {
        solver.place(package, None);
    }
    let before = solver.chosen.len();
    for relation in wanted {
        solver.need(None, Alternatives(vec![relation]))?;
    }
    solver.run()?;
    Ok(solver.chosen.into_iter().skip(before).map(|chosen| chosen.package).collect())
}

struct Solver<'a> {
    universe: &'a Universe<'a>,
    chosen: Vec<Chosen>,
    by_name: HashMap<String, usize>,
    /// Who provides a name.
    providers: HashMap<String, Vec<usize>>,
    /// Who conflicts with a name.
    enemies: HashMap<String, Vec<usize>>,
    needs: Vec<Need>,
    /// Needs that were not looked at, by number of answers, then by age.
    open: BTreeSet<(usize, usize)>,
    /// Needs that were looked at, in that order.
    settled: Vec<usize>,
    choices: Vec<Choice>,
}

struct Chosen {
    package: Rc<Package>,
    /// The need it was chosen for; `None` for what was there before.
    reason: Option<usize>,
}

struct Need {
    /// Who needs it; `None` for what was asked for.
    by: Option<usize>,
    wanted: Alternatives,
    answers: Vec<Rc<Package>>,
}

/// A point to come back to.
struct Choice {
    need: usize,
    /// The answer to try next.
    next: usize,
    chosen: usize,
    needs: usize,
    settled: usize,
}

/// Why a package cannot be added.
enum Clash {
    /// Another version of it is there.
    Version,
    /// It and one that is there exclude each other.
    Conflict(usize, String),
}

impl<'a> Solver<'a> {
    fn new(universe: &'a Universe<'a>) -> Self {
        Self {
            universe,
            chosen: Vec::new(),
            by_name: HashMap::new(),
            providers: HashMap::new(),
            enemies: HashMap::new(),
            needs: Vec::new(),
            open: BTreeSet::new(),
            settled: Vec::new(),
            choices: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), Unsolvable> {
        let mut first_failure = None;
        let mut patience = PATIENCE;
        while let Some((_, need)) = self.open.pop_first() {
            self.settled.push(need);
            if self.is_met(&self.needs[need].wanted) || self.answer(need, 0)? {
                continue;
            }
            // The first failure is what follows from the best choices: that is the one to tell of.
            let failure = match first_failure.take() {
                Some(failure) => failure,
                None => self.explain(need)?,
            };
            if patience == 0 || !self.go_back(&mut patience)? {
                return Err(failure);
            }
            first_failure = Some(failure);
        }
        Ok(())
    }

    /// Adds the first of the need's answers, from `next` on, that can be added.
    fn answer(&mut self, need: usize, next: usize) -> Result<bool, Unsolvable> {
        let answers = &self.needs[need].answers;
        let Some(taken) = (next..answers.len()).find(|taken| self.clash(&answers[*taken]).is_none()) else {
            return Ok(false);
        };
        if taken + 1 < answers.len() {
            self.choices.push(Choice {
                need,
                next: taken + 1,
                chosen: self.chosen.len(),
                needs: self.needs.len(),
                settled: self.settled.len(),
            });
        }
        let package = Rc::clone(&self.needs[need].answers[taken]);
        let depends = package.depends.clone();
        let chosen = self.place(package, Some(need));
        for wanted in depends {
            self.need(Some(chosen), wanted)?;
        }
        Ok(true)
    }

    fn place(&mut self, package: Rc<Package>, reason: Option<usize>) -> usize {
        let position = self.chosen.len();
        self.by_name.insert(package.name.clone(), position);
        for (name, _) in &package.provides {
            self.providers.entry(name.clone()).or_default().push(position);
        }
        for relation in &package.conflicts {
            self.enemies.entry(relation.name.clone()).or_default().push(position);
        }
        self.chosen.push(Chosen { package, reason });
        position
    }

    fn need(&mut self, by: Option<usize>, wanted: Alternatives) -> Result<(), Unsolvable> {
        let mut answers: Vec<Rc<Package>> = Vec::new();
        for relation in &wanted.0 {
            for package in self.universe.answering(relation)? {
                if !answers.iter().any(|known| Rc::ptr_eq(known, &package)) {
                    answers.push(package);
                }
            }
        }
        // What was asked for comes before what follows from it.
        let rank = if by.is_none() { 0 } else { answers.len() };
        self.open.insert((rank, self.needs.len()));
        self.needs.push(Need { by, wanted, answers });
        Ok(())
    }

    fn is_met(&self, wanted: &Alternatives) -> bool {
        let architecture = self.universe.architecture();
        wanted.0.iter().any(|relation| {
            let named = self.by_name.get(&relation.name);
            let provided = self.providers.get(&relation.name).into_iter().flatten();
            named.into_iter().chain(provided).any(|position| {
                let package = &self.chosen[*position].package;
                package.answers(relation) && package.fits(relation, architecture)
            })
        })
    }

    /// What keeps `package` out.
    fn clash(&self, package: &Package) -> Option<Clash> {
        if self.by_name.contains_key(&package.name) {
            return Some(Clash::Version);
        }
        for relation in &package.conflicts {
            let named = self.by_name.get(&relation.name);
            let provided = self.providers.get(&relation.name).into_iter().flatten();
            for position in named.into_iter().chain(provided) {
                let other = &self.chosen[*position].package;
                if other.answers(relation) {
                    return Some(Clash::Conflict(
                        *position,
                        format!("{} conflicts with {relation}", package.id()),
                    ));
                }
            }
        }
        let names = std::iter::once(&package.name).chain(package.provides.iter().map(|(name, _)| name));
        for name in names {
            for position in self.enemies.get(name).into_iter().flatten() {
                let other = &self.chosen[*position].package;
                let hit = other
                    .conflicts
                    .iter()
                    .find(|relation| relation.name == *name && package.answers(relation));
                if let Some(relation) = hit {
                    return Some(Clash::Conflict(
                        *position,
                        format!("{} conflicts with {relation}", other.id()),
                    ));
                }
            }
        }
        None
    }

    /// Takes back the last choice that has another answer, and takes that.
    fn go_back(&mut self, patience: &mut usize) -> Result<bool, Unsolvable> {
        while let Some(choice) = self.choices.pop() {
            if *patience == 0 {
                return Ok(false);
            }
            *patience -= 1;
            let kept: Vec<Chosen> = self.chosen.drain(..).take(choice.chosen).collect();
            self.by_name.clear();
            self.providers.clear();
            self.enemies.clear();
            for chosen in kept {
                self.place(chosen.package, chosen.reason);
            }
            self.needs.truncate(choice.needs);
            self.settled.truncate(choice.settled);
            let settled: BTreeSet<usize> = self.settled.iter().copied().collect();
            self.open = (0..self.needs.len())
                .filter(|need| !settled.contains(need))
                .map(|need| {
                    let known = &self.needs[need];
                    (if known.by.is_none() { 0 } else { known.answers.len() }, need)
                })
                .collect();
            if self.answer(choice.need, choice.next)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn explain(&self, need: usize) -> Result<Unsolvable, Unsolvable> {
        let need = &self.needs[need];
        let clashes: Vec<(&Rc<Package>, Clash)> =
            need.answers.iter().filter_map(|answer| Some((answer, self.clash(answer)?))).collect();
        if let Some((answer, Clash::Conflict(other, statement))) =
            clashes.iter().find(|(_, clash)| matches!(clash, Clash::Conflict(..)))
        {
            let mut left = self.chain(need.by);
            left.push(answer.id());
            return Ok(Unsolvable::Conflict {
                left,
                right: self.chain(Some(*other)),
                statement: statement.clone(),
            });
        }
        let mut reasons = Vec::new();
        for relation in &need.wanted.0 {
            let versions = self.universe.named(&relation.name)?;
            let providers = self.universe.providing(&relation.name)?;
            let chosen = self.by_name.get(&relation.name).map(|position| &self.chosen[*position].package);
            reasons.push(if let Some(package) = chosen {
                format!("{} is chosen already", package.id())
            } else if !versions.is_empty() {
                let known: Vec<&str> = versions.iter().map(|package| package.version_text.as_str()).collect();
                format!("of {} there is {}", relation.name, known.join(", "))
            } else if !providers.is_empty() {
                format!("{} is only provided without a version", relation.name)
            } else {
                format!("there is no package {}", relation.name)
            });
        }
        Ok(Unsolvable::Unmet { chain: self.chain(need.by), wanted: need.wanted.to_string(), reasons })
    }

    /// From what was asked for down to this package.
    fn chain(&self, mut position: Option<usize>) -> Vec<String> {
        let mut chain = Vec::new();
        while let Some(chosen) = position {
            let chosen = &self.chosen[chosen];
            chain.push(chosen.package.id());
            position = chosen.reason.and_then(|need| self.needs[need].by);
        }
        chain.reverse();
        chain
    }
}

#[cfg(test)]
mod tests;
