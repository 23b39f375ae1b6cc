/** What the source keys of the facts stand for. All are public. */
export const sources = {
  SEED: 'Microsoft Intune, "Enable access to company resources with certificate profiles", about 2015; S numbers count its statements, A numbers its ambiguities',
  'M-SCEP': 'Microsoft Intune, "Create and assign SCEP certificate profiles", 2024',
  'M-PKCS': 'Microsoft Intune, "Use private and public key certificates (PKCS)", 2024',
  'SA-DEP': 'Microsoft support articles, "Troubleshoot deployment of SCEP certificate profiles", 2023',
  'ID-NDES': 'Microsoft Intune, "Troubleshoot device to NDES communication", with logs of single devices',
  'ID-DEL': 'Microsoft Intune, "Troubleshoot certificate delivery", with logs of single devices',
  'CM-CP': 'Microsoft Configuration Manager, "Create certificate profiles"',
  'W-CCI': 'Windows ClientCertificateInstall configuration service provider, 2020',
  'W-DDF': 'Windows ClientCertificateInstall configuration service provider, from its device description, 2023',
  'W-CE': 'Windows certificate enrolment API, IX509SCEPEnrollment',
  'A-DM': 'Apple device management schema, github.com/apple/device-management, 2024',
  'A-SEC': "Apple's open-source Security project, SecSCEP.c, 2008-2014: may differ from what ships today",
  J: 'jscep, the SCEP library in the Android Company Portal',
  RFC8894: 'Simple Certificate Enrolment Protocol, rfc-editor.org/rfc/rfc8894',
  'PFX-AND': 'developerload.com, "PKCS12 on Android", and ca.stable.confirm.ch/pkcs12.html: reports by users',
  MICROMDM: 'issues of github.com/micromdm/micromdm and github.com/micromdm/scep',
} as const
