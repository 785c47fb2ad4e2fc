//! Classifiers of a loaded object on interfaces.

use super::Loaded;
use crate::{
    guard,
    kernel::{hook::Classifier, link::Link, pin::Place},
};

impl Loaded {
    /// Attaches a classifier, or continues an earlier agent's. Gives whether it is a netlink filter.
    ///
    /// # Errors
    ///
    /// One line that names the interface and the obstacle.
    pub fn classify(&mut self, program: &'static str, link: &Link, place: Place) -> anyhow::Result<bool> {
        let pins = self.pins.clone();
        let loaded = self.source.classifier(program)?;
        let mut classifier = None;
        if let Some(pins) = pins.as_deref()
            && pins.has_link(place, link.index)?
        {
            classifier = Classifier::recover(loaded, program, link.index, place, pins)?;
            if classifier.is_none() {
                pins.remove_link(place, link.index)?;
            }
        }
        let classifier = match classifier {
            Some(classifier) => classifier,
            None => Classifier::attach(loaded, program, link, place, pins.as_deref())?,
        };
        let is_filter = classifier.is_filter();
        self.classifiers.push(classifier);
        Ok(is_filter)
    }

    /// Whether all classifiers on an interface are still there.
    pub fn is_classified(&self, index: u32) -> bool {
        self.classifiers.iter().filter(|it| it.index() == index).all(Classifier::is_there)
    }

    /// Whether any of them is a netlink filter.
    pub fn has_filters(&self) -> bool {
        self.classifiers.iter().any(Classifier::is_filter)
    }

    /// Verifies the classifiers that interfaces may need later.
    ///
    /// # Errors
    ///
    /// The verifier's words.
    pub fn load_classifiers(&mut self) -> anyhow::Result<()> {
        super::CLASSIFIERS.into_iter().try_for_each(|name| self.source.classifier(name).map(drop))
    }

    /// Whether an earlier agent's classifier on an interface is pinned.
    pub fn has_pinned_classifier(&self, index: u32) -> bool {
        let has = |place| self.pins.as_ref().is_some_and(|pins| pins.has_link(place, index).unwrap_or(false));
        has(Place::Ingress)
    }

    /// Leaves classifiers to the next agent.
    pub fn leave_classifiers(&mut self) {
        self.classifiers.iter_mut().for_each(Classifier::leave);
    }

    /// Detaches all classifiers from one interface.
    pub(super) fn detach_classifiers(&mut self, index: u32) -> anyhow::Result<()> {
        let all = std::mem::take(&mut self.classifiers);
        let (its, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.index() == index);
        self.classifiers = others;
        let mut detached = Ok(());
        for classifier in its {
            let unpinned = self.unpin(classifier.place(), index);
            detached = guard::first(detached, guard::first(unpinned, classifier.detach()));
        }
        detached
    }

    /// Puts the classifiers of `next` in the place of these.
    pub(super) fn swap_classifiers(&mut self, next: &mut Self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for classifier in std::mem::take(&mut self.classifiers) {
            let (index, place) = (classifier.index(), classifier.place());
            let swapped = next.source.classifier(classifier.program());
            match swapped.and_then(|program| classifier.exchange(program)) {
                Ok(classifier) => next.classifiers.push(classifier),
                Err(error) => {
                    log::warn!("interface {index}: {error:#}; it is attached anew");
                    result = guard::first(result, self.unpin(place, index));
                }
            }
        }
        result
    }
}
