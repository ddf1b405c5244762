/** What a place of the Studio shows: its list, or the page that was opened over it. */
import type { ReactNode } from 'react';

import type { Notice } from './Actions';
import { BackButton } from './BackButton';
import { BasePage } from './BasePage';
import { ComparePage } from './ComparePage';
import { CustomizePage } from './CustomizePage';
import { DatasetList } from './DatasetList';
import { DatasetsPlace } from './DatasetsPlace';
import { EvaluatePage } from './EvaluatePage';
import { EvaluatorsPlace } from './EvaluatorsPlace';
import { trans } from './i18n';
import { JobList } from './JobList';
import { ModelPage } from './ModelPage';
import { ModelsPlace } from './ModelsPlace';
import type { Lists } from './PanelView';
import { placeName } from './places';
import { ReplayPage } from './ReplayPage';
import { backOf, pageOf, useNavigation, type Location, type Route } from './route';
import type { Shell } from './shell';

interface PagesProps {
  readonly at: Location;
  readonly lists: Lists;
  readonly shell: Shell;
  readonly onNotice: (notice: Notice | null) => void;
}

/** The place on show. */
export function Pages({ at, lists, shell, onNotice }: PagesProps) {
  const navigation = useNavigation();
  const route = pageOf(at, at.place);
  const back = nameOf(at);
  // The lists of jobs and datasets show what is opened from them themselves: what was removed gives the list back.
  switch (route?.page ?? at.place) {
    case 'models':
      return lists.models && <ModelsPlace model={lists.models} />;
    case 'datasets':
      return lists.datasets && <DatasetsPlace model={lists.datasets} shell={shell} onNotice={onNotice} />;
    case 'dataset':
      return (
        lists.datasets && (
          <DatasetList
            model={lists.datasets}
            shell={shell}
            back={back}
            open={route?.page === 'dataset' ? route.dataset : null}
            onOpen={dataset => {
              if (dataset === null) {
                navigation?.back();
              } else {
                navigation?.go({ page: 'dataset', dataset });
              }
            }}
          />
        )
      );
    case 'jobs':
    case 'evaluations':
    case 'job': {
      const isEvaluation = at.place === 'evaluations';
      return (
        lists.jobs && (
          <JobList
            key={String(isEvaluation)}
            model={lists.jobs}
            shell={shell}
            isEvaluation={isEvaluation}
            back={back}
            open={route?.page === 'job' ? route.job : null}
            onOpen={job => {
              if (job === null) {
                navigation?.back();
              } else {
                navigation?.go({ page: 'job', job, isEvaluation });
              }
            }}
          />
        )
      );
    }
    case 'evaluators':
    case 'metric':
    case 'prompt':
    case 'function':
      return <EvaluatorsPlace metrics={lists.metrics} route={route} back={back} />;
    default:
      return (
        route && (
          <div className="tunelab-page" key={JSON.stringify(route)}>
            <BackButton
              onBack={() => {
                navigation?.back();
              }}
            >
              {back}
            </BackButton>
            {pageFor(route)}
          </div>
        )
      );
  }
}

function pageFor(route: Route): ReactNode {
  switch (route.page) {
    case 'model':
      return <ModelPage model={route.model} />;
    case 'base':
      return <BasePage model={route.model} />;
    case 'compare':
      return <ComparePage jobs={route.jobs} />;
    case 'replay':
      return <ReplayPage job={route.job} isEvaluation={route.isEvaluation ?? false} />;
    case 'customize':
      return <CustomizePage from={route.from} />;
    case 'evaluate':
      return <EvaluatePage from={route.from} />;
    default:
      return null;
  }
}

/** Where the way back leads, in words. */
function nameOf(at: Location): string {
  const { place, route } = backOf(at);
  switch (route?.page) {
    case 'model':
    case 'base':
      return route.model.split('/').at(-1) ?? route.model;
    case 'dataset':
      return route.dataset;
    case 'job':
    case 'replay':
      return route.job;
    case 'metric':
      return route.metric ?? trans.__('New metric');
    case 'prompt':
      return route.prompt;
    case 'compare':
      return trans.__('Comparison');
    default:
      return trans.__('All %1', placeName(place).toLowerCase());
  }
}
