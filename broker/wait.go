package broker

import (
	"context"
	"reflect"
	"time"
)

// inPlace is how many channels waitAny watches without reflection: most fetches
// that wait name a few partitions.
const inPlace = 8

// waitAny returns when one of the channels is closed, the timer fires or ctx
// ends; it says whether it was a channel.
func waitAny(ctx context.Context, timer *time.Timer, moved []<-chan struct{}) bool {
	if len(moved) > inPlace {
		return waitMany(ctx, timer, moved)
	}
	var c [inPlace]<-chan struct{}
	copy(c[:], moved)
	select {
	case <-c[0]:
	case <-c[1]:
	case <-c[2]:
	case <-c[3]:
	case <-c[4]:
	case <-c[5]:
	case <-c[6]:
	case <-c[7]:
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

func waitMany(ctx context.Context, timer *time.Timer, moved []<-chan struct{}) bool {
	cases := make([]reflect.SelectCase, 0, len(moved)+2)
	for _, c := range moved {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	cases = append(cases,
		reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(timer.C)},
		reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())})
	chosen, _, _ := reflect.Select(cases)
	return chosen < len(moved)
}
