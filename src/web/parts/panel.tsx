import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

/** A pane of glass with a small heading. `level` is that of the heading in the page's outline. */
export const Panel = ({
  title,
  level = 2,
  actions,
  class: more = '',
  children,
}: {
  title: string;
  level?: 2 | 3 | 4;
  actions?: ComponentChildren;
  class?: string;
  children?: ComponentChildren;
}) => {
  const id = useId();
  const Heading = `h${level}` as 'h2';
  return (
    <section class={`panel ${more}`} aria-labelledby={id}>
      <header class="panel-head">
        <Heading id={id} class="label">
          {title}
        </Heading>
        {actions && <div class="panel-actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
};

/** A number with its name. */
export const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <div class="fact">
    <dt class="label">{name}</dt>
    <dd>{children}</dd>
  </div>
);
