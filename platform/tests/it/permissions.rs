//! What the database says of roles is what is asked: the table in `permission.rs`.

use std::collections::BTreeSet;

use platform::permission::{Permission, Role};

use crate::world::world;

#[tokio::test]
async fn the_database_tells_roles_as_they_are() {
    let found = world("permissions").await;
    let rows = found.root.query("SELECT role, permission FROM role_permissions", &[]).await.unwrap();
    let told: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let asked = Role::ALL.into_iter().flat_map(|role| {
        role.permissions().iter().map(move |permission| (role.as_str().to_owned(), permission.as_str().to_owned()))
    });
    assert_eq!(told, asked.collect());
    let rows = found.root.query("SELECT code FROM permissions", &[]).await.unwrap();
    assert_eq!(rows.len(), Permission::ALL.len());
}
