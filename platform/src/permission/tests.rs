//! The table of roles, as a person would check it.

use super::*;

#[test]
fn an_admin_may_everything_and_a_viewer_changes_nothing_that_others_see() {
    for permission in Permission::ALL {
        assert!(Role::Admin.allows(*permission), "{permission}");
        if permission.as_str().ends_with(".write") && *permission != Permission::NotificationsWrite {
            assert!(!Role::Viewer.allows(*permission), "{permission}");
        }
        for role in Role::ALL {
            assert_eq!(role.allows(*permission), role.permissions().contains(*permission));
        }
    }
}

#[test]
fn the_four_roles_differ_where_they_should() {
    let may = |role: Role, name: &str| role.allows(name.parse().unwrap());
    assert!(may(Role::Trader, "bids.write") && !may(Role::Analyst, "bids.write"));
    assert!(may(Role::Analyst, "sql.query") && !may(Role::Trader, "sql.query"));
    assert!(may(Role::Analyst, "models.write") && !may(Role::Trader, "models.write"));
    for name in ["members.write", "audit.read", "billing.read", "organisation.write", "channels.write", "privacy.write"]
    {
        let who: Vec<Role> = Role::ALL.into_iter().filter(|role| may(*role, name)).collect();
        assert_eq!(who, [Role::Admin], "{name}");
    }
    // Whoever writes reads.
    for permission in Permission::ALL {
        let Some(resource) = permission.as_str().strip_suffix(".write") else { continue };
        let Ok(read) = format!("{resource}.read").parse::<Permission>() else { continue };
        for role in Role::ALL {
            assert!(!role.allows(*permission) || role.allows(read), "{role} {permission}");
        }
    }
}

#[test]
fn names_are_distinct_and_read_back() {
    for (n, permission) in Permission::ALL.iter().enumerate() {
        assert_eq!(permission.as_str().parse::<Permission>().unwrap(), *permission);
        assert_eq!(*permission as usize, n);
    }
    assert_eq!("Admin".parse::<Role>().unwrap(), Role::Admin);
    assert_eq!("root".parse::<Role>().unwrap_err().code, "unknown_role");
    assert_eq!(serde_json::to_string(&Role::Trader).unwrap(), "\"trader\"");
}

#[test]
fn a_scope_is_never_more_than_its_maker_may() {
    let trader = Role::Trader.permissions();
    let scope = Permissions::scope(["bids.read", "bids.write"], trader).unwrap();
    assert_eq!(scope.to_string(), "bids.read bids.write");
    let problem = Permissions::scope(["bids.read", "sql.query"], trader).unwrap_err();
    assert_eq!(problem.code, "not_yours");
    assert!(problem.message.ends_with(": sql.query"));
    assert_eq!(Permissions::scope(["bids.delete"], trader).unwrap_err().code, "unknown_permission");
    assert_eq!(Permissions::scope([], trader).unwrap_err().code, "empty");
    // A maker who becomes a viewer takes the key along.
    assert_eq!(scope.and(Role::Viewer.permissions()).to_string(), "bids.read");
}

#[test]
fn a_scope_that_names_what_is_gone_gives_nothing_for_it() {
    let scope: Permissions = serde_json::from_str(r#""bids.read coffee.make""#).unwrap();
    assert_eq!(scope.to_string(), "bids.read");
    assert!("bids.read coffee.make".parse::<Permissions>().is_err());
    assert_eq!(format!("{scope:?}"), r#"{"bids.read"}"#);
}
