import { useLayoutEffect, useRef } from 'preact/hooks';

/** The field that has the focus once it is there: what a person asked for by a button. */
export const useFirst = <E extends HTMLElement>(isThere = true) => {
  const ref = useRef<E>(null);
  useLayoutEffect(() => {
    if (isThere) ref.current?.focus();
  }, [isThere]);
  return ref;
};
