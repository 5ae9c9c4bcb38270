/** Whether `If-None-Match` has this tag, weak or not, or `*`. */
export const isKnown = (etag: string, ifNoneMatch = ''): boolean => {
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes(etag) || tags.includes('*');
};
