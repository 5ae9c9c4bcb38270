/** What this build can say of newer ones. */
export const versionCheck = (version: string) => ({
  version,
  latest: null,
  updateAvailable: null,
  message: 'This build has no update source, so nothing was asked and nothing left this machine.',
});
