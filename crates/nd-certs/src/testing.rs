//! Certificates for the unit tests of this crate.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

pub(crate) struct Made {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// What certificate to make; by default one for `a.test` that signed itself.
#[derive(Default)]
pub(crate) struct Maker {
    names: Vec<String>,
    chain: bool,
}

impl Maker {
    pub(crate) fn names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Signed by an authority, whose certificate follows it.
    pub(crate) fn chain(mut self) -> Self {
        self.chain = true;
        self
    }

    pub(crate) fn make(self) -> Made {
        let names = if self.names.is_empty() { vec!["a.test".to_owned()] } else { self.names };
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        if !self.chain {
            return Made { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() };
        }
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "test authority");
        let authority_key = KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap();
        let leaf = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
        Made { chain: format!("{}{}", leaf.pem(), root.pem()), key: key.serialize_pem() }
    }
}
