/** How one OS's SCEP client goes about it, as data. The wire fingerprints come from platform facts. */
export interface ScepHabits {
  /** Which of GetCACaps and GetCACert is asked first. */
  readonly order: 'caps-first' | 'cert-first'
  /** The `message` parameter of GetCACaps and GetCACert; undefined sends none. */
  readonly message?: string
  /** What the client appends to the profile's URL. */
  readonly urlSuffix: '' | '/pkiclient.exe'
  readonly userAgent: string
  /** Subject of the self-signed certificate that signs a first request. */
  readonly signerSubject: 'csr-subject' | 'random-uuid'
  /** Of that certificate. Default 1. */
  readonly signerSerialNumber?: number
  /** The digest of the public key that a transactionID is the hex of. Default `sha256`. */
  readonly transactionIdHash?: 'sha1' | 'sha256'
  /** What a message is signed with: the digest of its profile, or the strongest that the CA offers and no weaker. Default `profile`. */
  readonly digest?: 'profile' | 'strongest'
  /** It enrols at no CA that offers no digest by name. Default false: then the floor is taken for offered. */
  readonly needsDigest?: boolean
  /** How a renewal is asked for: as a new request, as RenewalReq, or as PKCSReq signed by the current certificate. */
  readonly renewal: 'PKCSReq' | 'RenewalReq' | 'PKCSReq-by-current'
  /** Which of several URLs is used (platform-behaviours 2.3). One exchange stays with one server. */
  readonly urls: 'first' | 'in-order' | 'shuffled'
}

/** What vouches for the CA before anything is encrypted to it. */
export type ScepTrust =
  /** The CA's certificates lead to this certificate, DER. */
  | { readonly root: Uint8Array }
  /** One of the CA's certificates has this SHA-256 fingerprint, hex. */
  | { readonly fingerprint: string }
  /** One of them has this SHA-1 thumbprint, or MD5 of 32 digits, hex: a weak pin, for profiles that have no place for a better one. */
  | { readonly thumbprint: string }
  /** Whatever answers first is believed; only where a person asked for it. */
  | 'first-use'
