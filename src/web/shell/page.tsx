import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

/** The landmark and the name of one page. `title` is its only first heading; `quiet`: read, and not seen. */
export const Page = ({
  title,
  tab = title,
  quiet = false,
  class: more = '',
  children,
}: {
  title: string;
  /** What the tab of the browser says before `Opta`, when it is something else. */
  tab?: string;
  quiet?: boolean;
  class?: string;
  children?: ComponentChildren;
}) => {
  useEffect(() => {
    document.title = `${tab} · Opta`;
  }, [tab]);
  return (
    <main id="main" class={`page ${more}`} tabIndex={-1}>
      <h1 class={quiet ? 'unseen' : 'page-title'}>{title}</h1>
      {children}
    </main>
  );
};
