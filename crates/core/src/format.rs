//! What each credential format says about itself, without asking anybody.
//!
//! Two sorts of module. Some recognise a single value and read its public facts ([`jwt`], [`x509`], [`private_key`], [`ssh`], [`aws`],
//! [`github`], [`vendor`]). The others take a document apart into [`slot::Slot`]s, each a place where a secret may lie together with the way to
//! write another one there ([`json_text`], [`yaml_text`], [`docker_config`], [`kubeconfig`], [`gcp`], [`dotenv`],
//! [`aws_credentials_file`], [`database_url`], [`login_files`], [`helm_release`]). None of them decides whether something is a credential: that is
//! [`crate::canonical`]'s work. `None` means "not this format"; nothing here panics on any input.

pub mod aws;
pub mod aws_credentials_file;
pub mod database_url;
pub mod der;
pub mod docker_config;
pub mod dotenv;
pub mod gcp;
pub mod github;
pub mod helm_release;
pub mod json_text;
pub mod jwt;
pub mod kubeconfig;
pub mod login_files;
pub mod pem;
pub mod private_key;
pub mod slot;
pub mod ssh;
pub mod vendor;
pub mod x509;
pub mod yaml_text;
