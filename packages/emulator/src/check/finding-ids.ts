/**
 * What each finding of the check is about, in a few words: one entry an id, which never changes once published.
 * Findings about the export itself are the importer's.
 */
export const ruleFindings = {
  // trust and assignments
  'root-not-deployed': 'the certificate and its root do not reach the device through the same principal',
  'root-not-assigned': 'the linked root reaches nobody whom the certificate reaches',
  'root-refused': 'the store that the linked root goes to does not take it',
  'user-action-missing': 'the user of a device has to agree, and has not',
  'link-intermediate': 'the linked Trusted profile holds an intermediate CA, not the root',
  'android-group-mismatch': 'on Android, root and certificate are assigned to groups of different kinds',
  'nobody-reached': 'the profile is assigned and reaches no device',
  'profile-unassigned': 'the profile has no assignment',
  'not-applicable': 'the profile is not for the OS version of a device',
  'server-other-root': 'the SCEP server does not lead to the linked root',
  'server-unreachable': 'the SCEP server gave no CA certificate',
  'server-certificate-expired': 'a certificate that the SCEP server presents is out of its time',
  'urls-several': 'one of several SCEP URLs is picked at random',
  // names
  'variable-unresolved': 'a device or its user lacks what a variable stands for',
  'delivery-failed': 'the service cannot make the profile for a device',
  'names-sent': 'the exact subject and alternative names that a device sends',
  'subject-quoted': 'a value needs quotes in the subject',
  'name-unwritable': 'a name cannot be written into a request',
  'android-san-missing': 'Android asks for a subject alternative name',
  'sid-missing': 'no security identifier for strong mapping',
  // lifetime, CA and PFX
  'validity-beyond-template': 'a longer lifetime is asked for than the template gives',
  'validity-beyond-ca': 'a certificate would outlive its CA',
  'eku-not-in-template': 'an extended key usage is asked for that the template does not give',
  'renews-always': 'each check-in renews the certificate',
  'renews-never': 'the certificate can expire between two check-ins',
  'expired-stuck': 'an expired certificate is not replaced by itself',
  'pfx-without-user': 'an imported PFX is for a user, and the device has none',
  'pfx-not-imported': 'no PFX was imported for the user',
  // keys and settings
  'request-refused': 'the OS refuses what the profile asks for',
  'url-refused': 'the OS refuses the SCEP URL of the profile',
  'key-storage-missing': 'the device lacks the key storage that the profile demands',
  'multi-factor-needed': 'a certificate waits for its user to prove more than one factor',
  'setting-ignored': 'a setting has no effect on this OS',
  // numbers and removal
  'certificates-duplicate': 'several profiles bring a device the same certificate',
  'certificates-multiplied': 'every profile that uses the certificate brings one of its own',
  'removal-leaves': 'something stays on the device, or stays good, once the profile is gone',
  // what replacing an export by another does
  'profile-added': 'the newer export has a profile that the older lacks',
  'profile-removed': 'the newer export lacks a profile',
  'profile-copied': 'a profile has come back under another id',
  'type-changed': 'the profile is of another type',
  'link-lost': 'the link to the root is lost',
  'link-changed': 'the profile names another root',
  'root-replaced': 'a Trusted profile holds another certificate',
  'edit-breaks': 'devices that have a certificate fail with the edited profile',
  'edit-mends': 'devices that failed get a certificate by the edited profile',
  'edit-reissues': 'devices ask for a new certificate',
  'edit-revokes': 'the certificates that are replaced are revoked',
  'edit-harmless': 'the edit makes no device ask for anything',
  'assignment-lost': 'devices that have the profile lose it',
  'assignment-gained': 'devices get the profile that had it not',
  'assignments-changed': 'the assignments differ',
} as const satisfies Record<string, string>

export type RuleFindingId = keyof typeof ruleFindings
