/** The frame of a form that writes a spec: its groups, what is wrong and has no field, what a check found, the foot. */
import { useState, type ReactNode } from 'react';

import { schemaAt, valueAt, type FieldSchema, type FormGroup, type PlanFacts } from './customize';
import { plainText } from './format';
import { Group, Others } from './FormParts';
import { trans } from './i18n';
import type { SpecFormState } from './useSpecForm';

/** Fields whose parts have faults of their own, and places for them. */
const WITH_PARTS = new Set(['reward', 'models', 'scorer']);

interface SpecFormProps {
  readonly name: string;
  readonly form: SpecFormState;
  /** Whether the advanced settings can be searched. */
  readonly canSearch?: boolean;
  /** Whether what has no field is told before one has tried. */
  readonly tellsOthers?: boolean;
  /** The field at a path. */
  readonly draw: (path: string) => ReactNode;
  readonly foot: ReactNode;
}

/** The form. */
export function SpecForm({ name, form, canSearch = false, tellsOthers = false, draw, foot }: SpecFormProps) {
  const { data, schema, groups, faults, plan, frame, hasTried, set, faultAt, tryTo } = form;
  const [search, setSearch] = useState('');
  const paths = groups.flatMap(({ fields }) => fields);
  const isSearched = (group: FormGroup) => canSearch && group.name === 'advanced';
  const shownOf = (group: FormGroup) =>
    isSearched(group) ? group.fields.filter(path => fits(path, schemaAt(schema, path), search)) : group.fields;
  return (
    <form
      className="tunelab-customize"
      ref={frame}
      role="form"
      aria-label={name}
      onSubmit={event => {
        event.preventDefault();
        tryTo('submit');
      }}
    >
      {groups.map(group => (
        <Group
          key={group.name}
          group={group}
          said={group.fields.filter(path => valueAt(data, path) !== undefined).length}
          hasFault={hasTried && group.fields.some(path => faultAt(path) !== undefined)}
          search={isSearched(group) ? search : null}
          onSearch={setSearch}
        >
          {shownOf(group).map(draw)}
          {shownOf(group).length === 0 && (
            <p className="tunelab-subject">{trans.__('No setting here is like that.')}</p>
          )}
        </Group>
      ))}
      {(tellsOthers || hasTried) && (
        <Others
          faults={faults.filter(({ path }) => !isShown(path, paths))}
          data={data}
          onRemove={path => {
            set(path, undefined);
          }}
        />
      )}
      {plan && <PlanReport plan={plan} />}
      {foot}
    </form>
  );
}

function isShown(path: string, paths: readonly string[]): boolean {
  const [first = ''] = path.split('.');
  return paths.includes(path) || (WITH_PARTS.has(first) && paths.includes(first));
}

function fits(path: string, schema: FieldSchema | null, search: string): boolean {
  const said = `${path} ${schema?.description ?? ''}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every(word => said.includes(word) || said.replaceAll('_', ' ').includes(word));
}

/** What a check measured. */
function PlanReport({ plan }: { readonly plan: PlanFacts }) {
  return (
    <section className="tunelab-form-group" aria-label={trans.__('Plan')}>
      <h4>{trans.__('Plan: nothing was started')}</h4>
      <PlanList facts={plan.facts} />
      {plan.report && (
        <>
          <h4>{trans.__('What the reward makes of sampled answers')}</h4>
          <PlanList facts={plan.report} />
        </>
      )}
      {plan.warnings.map(text => (
        <p key={text} className="tunelab-block" data-tone="warn">
          {plainText(text)}
        </p>
      ))}
    </section>
  );
}

function PlanList({ facts }: { readonly facts: PlanFacts['facts'] }) {
  return (
    <dl className="tunelab-plan">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{plainText(name)}</dt>
          <dd>{plainText(value)}</dd>
        </div>
      ))}
    </dl>
  );
}
