import { Component, type ComponentChildren } from 'preact';
import { ErrorBox } from '../parts/states.tsx';
import { Page } from './page.tsx';

/** A page that fails takes nothing else with it. */
export class Boundary extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state = { error: null as unknown };

  static override getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ComponentChildren {
    if (this.state.error === null) return this.props.children;
    return (
      <Page title="This page failed">
        <ErrorBox
          title="Something in this page is broken"
          error={this.state.error}
          again={() => this.setState({ error: null })}
        />
      </Page>
    );
  }
}
