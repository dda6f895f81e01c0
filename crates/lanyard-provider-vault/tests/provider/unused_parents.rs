//! The removal of unused parents, and the search on a server with very many tokens.

use lanyard_charter::Rights;
use lanyard_core::lease::Handle;
use lanyard_core::provider::{MintRequest, Provider as _};

use crate::{Faked, faked};

const NO_GRANTS: &[Rights] = &[];

async fn minted(faked: &Faked, seed: u64, epoch: u64) -> (MintRequest, Handle) {
    let mut request = faked.request(seed);
    request.epoch.0 = epoch;
    let (lease, _) = faked.mint(&request).await.unwrap();
    (request, lease.handle)
}

#[tokio::test]
async fn s21_only_unused_parents_are_revoked() {
    let mut faked = faked();
    let (_, one) = minted(&faked, 1, 1).await;
    let (_, two) = minted(&faked, 2, 2).await;
    // A second process, which holds no parent.
    faked.provider = crate::provider(&faked.fake);
    faked.provider.list().await.unwrap();
    assert_eq!(faked.fake.live().len(), 4);
    let all = || Some(vec![one.clone(), two.clone()]);
    assert_eq!(
        faked.provider.remove_unused_objects(NO_GRANTS, &all).await,
        Ok(0)
    );
    assert_eq!(
        faked
            .provider
            .remove_unused_objects(NO_GRANTS, &|| None)
            .await,
        Ok(0)
    );
    // The first lease has ended: its token goes with the parent.
    let later = || Some(vec![two.clone()]);
    assert_eq!(
        faked
            .provider
            .remove_unused_objects(NO_GRANTS, &later)
            .await,
        Ok(1)
    );
    assert_eq!(faked.fake.live().len(), 2);
    // A parent that a mint uses stays although it has no lease yet.
    let mut next = faked.request(3);
    next.epoch.0 = 3;
    faked.provider.ensure_shared_objects(&next).await.unwrap();
    faked.provider.list().await.unwrap();
    assert_eq!(
        faked
            .provider
            .remove_unused_objects(NO_GRANTS, &later)
            .await,
        Ok(0)
    );
    assert!(faked.mint(&next).await.is_ok());
}

#[tokio::test]
async fn s21_one_pass_revokes_a_limited_number_of_parents() {
    let mut faked = faked();
    for epoch in 0..=200 {
        let mut request = faked.request(epoch);
        request.epoch.0 = epoch;
        faked
            .provider
            .ensure_shared_objects(&request)
            .await
            .unwrap();
    }
    faked.provider = crate::provider(&faked.fake);
    faked.provider.list().await.unwrap();
    let nothing = || Some(Vec::new());
    assert_eq!(
        faked
            .provider
            .remove_unused_objects(NO_GRANTS, &nothing)
            .await,
        Ok(200)
    );
    assert_eq!(
        faked
            .provider
            .remove_unused_objects(NO_GRANTS, &nothing)
            .await,
        Ok(1)
    );
}

#[tokio::test]
async fn s36_a_search_ends_although_tokens_are_created_faster_than_looked_up() {
    let mut faked = faked();
    let (request, _) = minted(&faked, 1, 1).await;
    faked.fake.add_foreign(15_000);
    faked.provider = crate::provider(&faked.fake);
    let told = faked.provider.list().await.unwrap_err().to_string();
    assert!(told.contains("5002 tokens from before the start"), "{told}");
    faked.fake.add_foreign(20_000);
    let listed = faked.provider.list().await.unwrap();
    let leases: Vec<_> = listed.iter().map(|found| found.lease).collect();
    assert_eq!(leases, [request.lease]);
}
