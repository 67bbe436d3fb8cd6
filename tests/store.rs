//! The store's promises, on every database that there is: one suite, a line per database at the end.

#![allow(clippy::unwrap_used, clippy::panic)]
// Where a copy or a borrow reads alike, a test takes the shorter one.
#![allow(clippy::cloned_ref_to_slice_refs, clippy::needless_pass_by_value)]

#[path = "store/concurrent.rs"]
mod concurrent;
#[path = "store/fixture.rs"]
mod fixture;
#[path = "store/handles.rs"]
mod handles;
#[path = "store/plans.rs"]
mod plans;
#[path = "common/postgres.rs"]
mod postgres_of_ones_own;
#[path = "store/reads.rs"]
mod reads;
#[path = "store/tls.rs"]
mod tls;
#[path = "store/view.rs"]
mod view;
#[path = "store/writes.rs"]
mod writes;

/// Runs every test of the suite on one database, each on a new one.
macro_rules! suite {
    ($attributes:tt $database:ident, $open:expr, $($module:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        mod $database {
            $(mod $module {
                $(test! { $attributes $module, $test, $open })*
            })*
        }
    };
}

macro_rules! test {
    ([$($attribute:tt)*] $module:ident, $test:ident, $open:expr) => {
        #[tokio::test]
        $($attribute)*
        async fn $test() {
            crate::$module::$test($open.await).await;
        }
    };
}

macro_rules! on {
    ($($attributes:tt $database:ident: $open:expr;)*) => {$(
        suite! {
            $attributes $database, $open,
            writes: [
                everything_is_given_back,
                all_or_nothing,
                what_is_expected_must_hold,
                a_lease_changes_hands,
                people_have_versions,
                intents_open_once_and_tokens_stay,
                conflicts_and_held_deletions_stand_once,
                failures_are_counted,
                one_open_link_per_record_and_person,
                accounts_are_unique,
                two_who_change_an_account_do_not_lose_one_another,
                leases_of_the_dead_are_freed,
                people_in_sync_are_counted_along,
            ],
            reads: [
                listings_and_what_they_lack,
                identities_and_refinding,
                people_are_searched,
                words_that_many_have_find_them_all,
                runs_operations_and_history,
                counts_and_guard,
                the_check_finds_what_does_not_agree,
                access_in_sql_is_the_policy,
            ],
            handles: [
                an_open_intent_follows_its_link,
                dismissed_pairs_are_no_candidates,
                operations_are_found_by_id_and_since_a_time,
                scrubbed_content_is_gone_and_that_it_was_stays,
                a_picture_goes_when_nobody_has_it_any_more,
            ],
            view: [
                observing_unsettles_what_changed,
                gone_records_stay_as_tombstones,
                people_are_marked_where_they_matter,
                who_is_made_and_settled_at_once_is_marked_elsewhere_only,
                marks_are_lifted_by_who_saw_them,
                unsettled_comes_in_pages,
                subjects_are_complete,
                users_and_roles_unsettle_links,
                candidates_are_judged,
            ],
        }
    )*};
}

on! {
    [] inline: crate::fixture::Db::inline();
    [] threads: crate::fixture::Db::threads();
    [#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]] postgres: crate::fixture::Db::postgres();
}
