import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

/** The landmark and the name of one page. `title` is its only first heading; `quiet`: read, and not seen. */
export const Page = ({
  title,
  tab = title,
  waits = false,
  quiet = false,
  class: more = '',
  actions,
  children,
}: {
  title: string;
  /** What the tab of the browser says before `Opta`, when it is something else. */
  tab?: string;
  /** Somebody is asked for a decision or an answer: the tab shows it, also behind others. */
  waits?: boolean;
  quiet?: boolean;
  class?: string;
  /** Beside the title. */
  actions?: ComponentChildren;
  children?: ComponentChildren;
}) => {
  useEffect(() => {
    document.title = `${waits ? '● ' : ''}${tab} · Opta`;
    document.querySelector('link[rel=icon]')?.setAttribute('href', waits ? '/favicon-waits.svg' : '/favicon.svg');
  }, [tab, waits]);
  return (
    <main id="main" class={`page ${more}`} tabIndex={-1}>
      {actions === undefined ? (
        <h1 class={quiet ? 'unseen' : 'page-title'}>{title}</h1>
      ) : (
        <div class="page-head">
          <h1 class={quiet ? 'unseen' : 'page-title'}>{title}</h1>
          <div class="page-actions">{actions}</div>
        </div>
      )}
      {children}
    </main>
  );
};
